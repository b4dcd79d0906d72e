// A Glidepath worker in plain Go: it serves the queue "go" and runs the handler go:hello.
//
// GLIDEPATH_ADDRESS says where the server is, GLIDEPATH_TOKEN or GLIDEPATH_TOKEN_FILE who this worker is.
// SIGTERM or SIGINT: it finishes what runs, takes nothing new, and leaves.
package main

import (
	"cmp"
	"context"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	workerv1 "glidepath.dev/sdk/go/gen/glidepath/worker/v1"
)

const (
	slots         = 4
	silenceBefore = 30 * time.Second // until the welcome says how often the server is heard
	retryDelay    = time.Second
)

func main() {
	leave, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	address := cmp.Or(os.Getenv("GLIDEPATH_ADDRESS"), "127.0.0.1:7711")
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatalf("GLIDEPATH_ADDRESS %q: %v", address, err)
	}
	defer connection.Close()
	calls := metadata.AppendToOutgoingContext(context.Background(), "authorization", "Bearer "+token())
	worker := newWorker(workerv1.NewWorkerServiceClient(connection))
	for {
		// What runs here goes on while the stream is away; the next hello lists it.
		err := worker.session(calls, leave)
		if err == nil {
			return
		}
		log.Printf("the session ended: %v", err)
		select {
		case <-leave.Done(): // nothing can be delivered any more: the server runs those attempts again
			return
		case <-time.After(retryDelay):
		}
	}
}

func token() string {
	if value := os.Getenv("GLIDEPATH_TOKEN"); value != "" {
		return value
	}
	content, err := os.ReadFile(os.Getenv("GLIDEPATH_TOKEN_FILE"))
	if err != nil {
		log.Fatalf("set GLIDEPATH_TOKEN or GLIDEPATH_TOKEN_FILE: %v", err)
	}
	return strings.TrimSpace(string(content))
}
