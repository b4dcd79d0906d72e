package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	workerv1 "glidepath.dev/sdk/go/gen/glidepath/worker/v1"
)

// worker is owned by the goroutine of its session: tasks speak to it through `finished` alone.
type worker struct {
	client   workerv1.WorkerServiceClient
	identity string
	born     string
	running  map[string]context.CancelCauseFunc // by task token
	unacked  map[string]*workerv1.AttemptResult
	finished chan *workerv1.AttemptResult
	leaving  bool
}

func newWorker(client workerv1.WorkerServiceClient) *worker {
	host, _ := os.Hostname()
	return &worker{
		client: client, identity: host + "-go", born: fmt.Sprintf("%d-%d", os.Getpid(), time.Now().UnixNano()),
		running: map[string]context.CancelCauseFunc{}, unacked: map[string]*workerv1.AttemptResult{},
		finished: make(chan *workerv1.AttemptResult, slots),
	}
}

// session speaks one stream from hello to its end; nil says that the worker may leave.
func (w *worker) session(calls, leave context.Context) error {
	calls, hangUp := context.WithCancelCause(calls)
	defer hangUp(nil)
	stream, err := w.client.Work(calls)
	if err != nil {
		return err
	}
	if err := stream.Send(&workerv1.WorkRequest{Hello: w.hello(), Draining: w.leaving}); err != nil {
		return err
	}
	answers := make(chan *workerv1.WorkResponse)
	go func() {
		for {
			answer, err := stream.Recv()
			if err != nil {
				hangUp(err)
				return
			}
			select {
			case answers <- answer:
			case <-calls.Done():
				return
			}
		}
	}()
	patience := silenceBefore
	silence := time.NewTimer(patience)
	for !w.leaving || len(w.running)+len(w.unacked) > 0 {
		var request *workerv1.WorkRequest
		asked := leave.Done()
		if w.leaving {
			asked = nil // heard once
		}
		select {
		case answer := <-answers:
			if welcome := answer.GetWelcome(); welcome != nil {
				patience = 2 * welcome.GetHeartbeatInterval().AsDuration()
			}
			silence.Reset(patience)
			request = w.react(answer)
		case result := <-w.finished:
			request = w.deliver(result)
		case <-asked:
			w.leaving = true
			request = &workerv1.WorkRequest{Draining: true}
		case <-silence.C:
			return errors.New("no heartbeat for two intervals")
		case <-calls.Done():
			return context.Cause(calls)
		}
		if err := stream.Send(request); err != nil {
			return err
		}
	}
	return stream.CloseSend()
}

func (w *worker) hello() *workerv1.Hello {
	hello := &workerv1.Hello{
		WorkerIdentity: w.identity, Incarnation: w.born, ProtocolVersion: 1,
		QueueNames: []string{"go"}, Handlers: []*workerv1.HandlerOffer{{Name: "go:hello", Versions: []string{"*"}}},
		SdkName: "hello-go", ProcessId: int32(os.Getpid()),
	}
	for token := range w.running {
		hello.HeldTaskTokens = append(hello.HeldTaskTokens, []byte(token))
	}
	for token := range w.unacked {
		hello.FinishedTaskTokens = append(hello.FinishedTaskTokens, []byte(token))
	}
	return hello
}

// react gives what to say to one message of the server.
func (w *worker) react(answer *workerv1.WorkResponse) *workerv1.WorkRequest {
	request := &workerv1.WorkRequest{}
	if heartbeat := answer.GetHeartbeat(); heartbeat != nil {
		request.Heartbeat = &workerv1.HeartbeatEcho{Nonce: heartbeat.GetNonce()}
	}
	if welcome := answer.GetWelcome(); welcome != nil {
		for _, token := range welcome.GetFencedTaskTokens() {
			w.forget(string(token))
		}
		for _, result := range w.unacked {
			request.Results = append(request.Results, result)
		}
		w.grant(request, slots-len(w.running))
	}
	for _, task := range answer.GetAssignments() {
		w.start(task, request)
	}
	for _, cancel := range answer.GetCancels() {
		if end := w.running[string(cancel.GetTaskToken())]; end != nil {
			end(cancelled(cancel.GetReason())) // one that is not here yet is named again with the next heartbeat
		}
	}
	for _, ack := range answer.GetResultAcks() { // whatever the verdict, the server wants it no more
		w.forget(string(ack.GetTaskToken()))
	}
	return request
}

// forget ends an attempt that counts no more, or drops a result that was received.
func (w *worker) forget(token string) {
	if end := w.running[token]; end != nil {
		end(cancelled("fenced"))
	}
	delete(w.unacked, token)
}

func (w *worker) grant(request *workerv1.WorkRequest, amount int) {
	if !w.leaving && amount > 0 {
		request.Credits = append(request.Credits, &workerv1.Credit{Resource: "slots", Amount: int32(amount)})
	}
}

func (w *worker) start(task *workerv1.Assignment, request *workerv1.WorkRequest) {
	token := string(task.GetTaskToken())
	if w.leaving {
		w.unacked[token] = &workerv1.AttemptResult{TaskToken: task.GetTaskToken(), Outcome: &workerv1.AttemptResult_Returned{
			Returned: &workerv1.Returned{Reason: "the worker leaves"}}}
		request.Results = append(request.Results, w.unacked[token])
		return
	}
	request.AcceptedTaskTokens = append(request.AcceptedTaskTokens, task.GetTaskToken())
	if w.running[token] != nil || w.unacked[token] != nil {
		return // sent again because the server was not sure that it had arrived
	}
	request.StartedTaskTokens = append(request.StartedTaskTokens, task.GetTaskToken())
	work, end := context.WithCancelCause(context.Background())
	w.running[token] = end
	go func() { w.finished <- attempt(work, task) }()
}

// deliver keeps a result until it is acknowledged and gives its slot back.
func (w *worker) deliver(result *workerv1.AttemptResult) *workerv1.WorkRequest {
	token := string(result.GetTaskToken())
	w.running[token](nil)
	delete(w.running, token)
	w.unacked[token] = result
	request := &workerv1.WorkRequest{Results: []*workerv1.AttemptResult{result}}
	w.grant(request, 1)
	return request
}
