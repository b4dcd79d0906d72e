// A Glidepath worker in plain Go: it serves the queue "go" and runs the handler go:hello.
//
// GLIDEPATH_ADDRESS says where the server is, GLIDEPATH_TOKEN or GLIDEPATH_TOKEN_FILE who this worker is.
// SIGTERM or SIGINT: it finishes what runs, takes nothing new, and leaves. When the stream breaks it ends with exit
// status 1, for its supervisor to start it again; the server then runs again what was running here.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/timestamppb"

	commonv1 "glidepath.dev/sdk/go/gen/glidepath/common/v1"
	registryv1 "glidepath.dev/sdk/go/gen/glidepath/registry/v1"
	workerv1 "glidepath.dev/sdk/go/gen/glidepath/worker/v1"
)

const slots = 4

func main() {
	leave, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	address := cmp.Or(os.Getenv("GLIDEPATH_ADDRESS"), "127.0.0.1:7711")
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatalf("GLIDEPATH_ADDRESS %q: %v", address, err)
	}
	calls := metadata.AppendToOutgoingContext(context.Background(), "authorization", "Bearer "+token())
	if err := work(calls, leave, workerv1.NewWorkerServiceClient(connection)); err != nil {
		log.Fatalf("the stream to %s ended: %v", address, err)
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

// worker is owned by the goroutine that runs `work`: tasks speak to it through `finished` alone.
type worker struct {
	held     map[string]context.CancelCauseFunc // by task token: not acknowledged yet
	finished chan *workerv1.AttemptResult
	leaving  bool
}

// work speaks one stream from hello to its end; nil says that everything is delivered.
func work(calls, leave context.Context, client workerv1.WorkerServiceClient) error {
	calls, hangUp := context.WithCancelCause(calls)
	defer hangUp(nil)
	stream, err := client.Work(calls)
	if err != nil {
		return err
	}
	answers := make(chan *workerv1.WorkResponse)
	go receive(stream, answers, hangUp)
	w := &worker{held: map[string]context.CancelCauseFunc{}, finished: make(chan *workerv1.AttemptResult)}
	request := &workerv1.WorkRequest{Hello: hello(), Credits: credits(slots)}
	silence := 30 * time.Second // until the welcome says how often the server is heard
	quiet, asked := time.NewTimer(silence), leave.Done()
	for {
		if err := stream.Send(request); err != nil {
			return errors.Join(err, context.Cause(calls))
		}
		if w.leaving && len(w.held) == 0 {
			return stream.CloseSend()
		}
		select {
		case answer := <-answers:
			if welcome := answer.GetWelcome(); welcome != nil {
				silence = 2 * welcome.GetHeartbeatInterval().AsDuration()
			}
			quiet.Reset(silence)
			request = w.react(calls, answer)
		case result := <-w.finished:
			request = &workerv1.WorkRequest{Results: []*workerv1.AttemptResult{result}}
			if !w.leaving {
				request.Credits = credits(1)
			}
		case <-asked:
			w.leaving, asked = true, nil
			request = &workerv1.WorkRequest{Draining: true}
		case <-quiet.C:
			return fmt.Errorf("nothing heard for %v", silence)
		case <-calls.Done():
			return context.Cause(calls)
		}
	}
}

func receive(stream workerv1.WorkerService_WorkClient, answers chan<- *workerv1.WorkResponse, hangUp context.CancelCauseFunc) {
	for {
		answer, err := stream.Recv()
		if err != nil {
			hangUp(err)
			return
		}
		select {
		case answers <- answer:
		case <-stream.Context().Done():
			return
		}
	}
}

func hello() *workerv1.Hello {
	host, _ := os.Hostname()
	return &workerv1.Hello{
		WorkerIdentity: host + "-go", Incarnation: fmt.Sprintf("%d-%d", os.Getpid(), time.Now().UnixNano()),
		QueueNames: []string{"go"}, Handlers: []*workerv1.HandlerOffer{{Name: "go:hello", Versions: []string{"*"}}},
		ProtocolVersion: 1, SdkName: "hello-go", HostName: host, ProcessId: int32(os.Getpid()),
	}
}

func credits(amount int32) []*workerv1.Credit {
	return []*workerv1.Credit{{Resource: "slots", Amount: amount}}
}

// react gives what to say to one message of the server; an empty answer is harmless.
func (w *worker) react(calls context.Context, answer *workerv1.WorkResponse) *workerv1.WorkRequest {
	request := &workerv1.WorkRequest{}
	if heartbeat := answer.GetHeartbeat(); heartbeat != nil {
		request.Heartbeat = &workerv1.HeartbeatEcho{Nonce: heartbeat.GetNonce(), HostTime: timestamppb.Now()}
	}
	for _, task := range answer.GetAssignments() {
		token := string(task.GetTaskToken())
		request.AcceptedTaskTokens = append(request.AcceptedTaskTokens, task.GetTaskToken())
		if w.held[token] == nil { // else: sent again because the server was not sure that it had arrived
			request.StartedTaskTokens = append(request.StartedTaskTokens, task.GetTaskToken())
			running, end := context.WithCancelCause(calls)
			w.held[token] = end
			go func() { w.finished <- attempt(running, task) }()
		}
	}
	for _, cancel := range answer.GetCancels() {
		if end := w.held[string(cancel.GetTaskToken())]; end != nil {
			end(cancelled(cancel.GetReason())) // one that is not here yet is named again with the next heartbeat
		}
	}
	for _, ack := range answer.GetResultAcks() { // whatever the verdict, the server wants it no more
		if end := w.held[string(ack.GetTaskToken())]; end != nil {
			end(nil)
			delete(w.held, string(ack.GetTaskToken()))
		}
	}
	return request
}

// cancelled is the reason for which the server ends an attempt.
type cancelled string

func (reason cancelled) Error() string { return string(reason) }

// attempt runs one assignment to its result.
func attempt(running context.Context, task *workerv1.Assignment) *workerv1.AttemptResult {
	result := &workerv1.AttemptResult{TaskToken: task.GetTaskToken()}
	if task.GetLeaseMode() == registryv1.LeaseMode_LEASE_MODE_EXCLUSIVE {
		return failed(result, commonv1.FailureKind_FAILURE_KIND_INFRASTRUCTURE, errors.New("no exclusive leases here"))
	}
	arguments, err := resolve(task)
	if err != nil {
		return failed(result, commonv1.FailureKind_FAILURE_KIND_BAD_INPUT, err)
	}
	if limit := task.GetExecutionTimeout(); limit != nil {
		var stop context.CancelFunc
		running, stop = context.WithTimeout(running, limit.AsDuration())
		defer stop()
	}
	data, err := greet(running, arguments)
	var reason cancelled
	switch {
	case errors.As(err, &reason):
		result.Outcome = &workerv1.AttemptResult_Cancelled{Cancelled: &workerv1.Cancelled{Reason: string(reason)}}
	case errors.Is(err, context.DeadlineExceeded):
		failure := &commonv1.Failure{Kind: commonv1.FailureKind_FAILURE_KIND_TIMEOUT, Message: err.Error()}
		result.Outcome = &workerv1.AttemptResult_TimedOut{TimedOut: &workerv1.TimedOut{Failure: failure}}
	case err != nil:
		return failed(result, commonv1.FailureKind_FAILURE_KIND_APPLICATION, err)
	default:
		output := &commonv1.Payload{ContentType: "application/json", Body: &commonv1.Payload_Data{Data: data}}
		result.Outcome = &workerv1.AttemptResult_Success{Success: &workerv1.Success{Output: output}}
	}
	return result
}

func failed(result *workerv1.AttemptResult, kind commonv1.FailureKind, err error) *workerv1.AttemptResult {
	failure := &commonv1.Failure{Kind: kind, Type: fmt.Sprintf("%T", err), Message: err.Error()}
	result.Outcome = &workerv1.AttemptResult_Failed{Failed: failure}
	return result
}

// greet is the task: it greets `name`, after `seconds` if they are given, and returns JSON.
func greet(running context.Context, arguments map[string]any) ([]byte, error) {
	seconds, _ := arguments["seconds"].(float64)
	select {
	case <-time.After(time.Duration(seconds * float64(time.Second))):
		return json.Marshal(map[string]any{"greeting": fmt.Sprintf("Hello, %v!", arguments["name"])})
	case <-running.Done():
		return nil, context.Cause(running)
	}
}
