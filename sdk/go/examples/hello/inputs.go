package main

import (
	"encoding/json"
	"fmt"

	registryv1 "glidepath.dev/sdk/go/gen/glidepath/registry/v1"
	workerv1 "glidepath.dev/sdk/go/gen/glidepath/worker/v1"
)

// resolve gives the handler's arguments by name. An error is a bad input: trying again cannot mend it.
// Templates are the one kind of input left out here; register such values as params or literals.
func resolve(task *workerv1.Assignment) (map[string]any, error) {
	arguments := map[string]any{}
	for name, input := range task.GetInputs() {
		value, err := valueOf(task, input)
		if err != nil {
			return nil, fmt.Errorf("input %q: %w", name, err)
		}
		arguments[name] = value
	}
	return arguments, nil
}

func valueOf(task *workerv1.Assignment, input *registryv1.Input) (any, error) {
	switch source := input.GetSource().(type) {
	case *registryv1.Input_Literal:
		return decode(source.Literal.GetData())
	case *registryv1.Input_Param:
		params := map[string]any{}
		if err := json.Unmarshal([]byte(task.GetParams()), &params); err != nil {
			return nil, fmt.Errorf("the run's params are not a JSON object: %w", err)
		}
		value, known := params[source.Param]
		if !known {
			return nil, fmt.Errorf("the run has no param %q", source.Param)
		}
		return value, nil
	case *registryv1.Input_Output:
		return outputOf(task, source.Output)
	case *registryv1.Input_List:
		values := []any{}
		for _, item := range source.List.GetItems() {
			value, err := valueOf(task, item)
			if err != nil {
				return nil, err
			}
			values = append(values, value)
		}
		return values, nil
	default:
		return nil, fmt.Errorf("%T is not supported here; expected a literal, a param, an output or a list", source)
	}
}

// outputOf is nil for an upstream task that returned nothing or was skipped.
func outputOf(task *workerv1.Assignment, reference *registryv1.OutputRef) (any, error) {
	payload := task.GetUpstreamOutputs()[reference.GetTaskId()]
	if payload.GetUri() != "" {
		return nil, fmt.Errorf("the output of %q lies at %s; fetch it with GetArtifact", reference.GetTaskId(), payload.GetUri())
	}
	value, err := decode(payload.GetData())
	if err != nil || value == nil || reference.GetKey() == "" {
		return value, err
	}
	object, _ := value.(map[string]any)
	part, known := object[reference.GetKey()]
	if !known {
		return nil, fmt.Errorf("the output of %q has no key %q", reference.GetTaskId(), reference.GetKey())
	}
	return part, nil
}

func decode(data []byte) (value any, err error) {
	if len(data) > 0 {
		err = json.Unmarshal(data, &value)
	}
	return value, err
}
