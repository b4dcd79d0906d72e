package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	commonv1 "glidepath.dev/sdk/go/gen/glidepath/common/v1"
	registryv1 "glidepath.dev/sdk/go/gen/glidepath/registry/v1"
	workerv1 "glidepath.dev/sdk/go/gen/glidepath/worker/v1"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// cancelled is the reason for which the server ends an attempt.
type cancelled string

func (reason cancelled) Error() string { return string(reason) }

// hello is the task: it greets `name`, after `seconds` if they are given.
func hello(work context.Context, arguments map[string]any) (any, error) {
	seconds, _ := arguments["seconds"].(float64)
	select {
	case <-time.After(time.Duration(seconds * float64(time.Second))):
		return map[string]any{"greeting": fmt.Sprintf("Hello, %v!", arguments["name"])}, nil
	case <-work.Done():
		return nil, context.Cause(work)
	}
}

// attempt runs one assignment to its result.
func attempt(work context.Context, task *workerv1.Assignment) *workerv1.AttemptResult {
	result := &workerv1.AttemptResult{TaskToken: task.GetTaskToken(), StartTime: timestamppb.Now()}
	defer func() { result.EndTime = timestamppb.Now() }()
	if task.GetLeaseMode() == registryv1.LeaseMode_LEASE_MODE_EXCLUSIVE {
		return failed(result, commonv1.FailureKind_FAILURE_KIND_INFRASTRUCTURE, errors.New("this worker keeps no exclusive leases"))
	}
	arguments, err := resolve(task)
	if err != nil {
		return failed(result, commonv1.FailureKind_FAILURE_KIND_BAD_INPUT, err)
	}
	if limit := task.GetExecutionTimeout(); limit != nil {
		var stop context.CancelFunc
		work, stop = context.WithTimeout(work, limit.AsDuration())
		defer stop()
	}
	value, err := hello(work, arguments)
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
		data, err := json.Marshal(value)
		if err != nil {
			return failed(result, commonv1.FailureKind_FAILURE_KIND_APPLICATION, err)
		}
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
