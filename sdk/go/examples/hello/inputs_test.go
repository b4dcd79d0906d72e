package main

import (
	"reflect"
	"strings"
	"testing"

	commonv1 "glidepath.dev/sdk/go/gen/glidepath/common/v1"
	registryv1 "glidepath.dev/sdk/go/gen/glidepath/registry/v1"
	workerv1 "glidepath.dev/sdk/go/gen/glidepath/worker/v1"
)

func value(json string) *commonv1.Payload {
	return &commonv1.Payload{Body: &commonv1.Payload_Data{Data: []byte(json)}}
}

func literal(json string) *registryv1.Input {
	return &registryv1.Input{Source: &registryv1.Input_Literal{Literal: value(json)}}
}

func param(name string) *registryv1.Input {
	return &registryv1.Input{Source: &registryv1.Input_Param{Param: name}}
}

func output(task, key string) *registryv1.Input {
	return &registryv1.Input{Source: &registryv1.Input_Output{Output: &registryv1.OutputRef{TaskId: task, Key: key}}}
}

func list(items ...*registryv1.Input) *registryv1.Input {
	return &registryv1.Input{Source: &registryv1.Input_List{List: &registryv1.InputList{Items: items}}}
}

func assignment(input *registryv1.Input) *workerv1.Assignment {
	return &workerv1.Assignment{
		Params: `{"who": "Ada"}`,
		Inputs: map[string]*registryv1.Input{"name": input},
		UpstreamOutputs: map[string]*commonv1.Payload{
			"load":  value(`{"rows": 3}`),
			"empty": {},
			"far":   {Body: &commonv1.Payload_Uri{Uri: "artifact:00"}},
		},
	}
}

func TestInputsBecomeArguments(t *testing.T) {
	for name, each := range map[string]struct {
		input *registryv1.Input
		want  any
	}{
		"literal":            {literal(`"Ada"`), "Ada"},
		"param":              {param("who"), "Ada"},
		"output":             {output("load", ""), map[string]any{"rows": 3.0}},
		"key of an output":   {output("load", "rows"), 3.0},
		"no output":          {output("empty", "rows"), nil},
		"skipped upstream":   {output("skipped", ""), nil},
		"list, in its order": {list(param("who"), literal("2")), []any{"Ada", 2.0}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := resolve(assignment(each.input))
			if err != nil || !reflect.DeepEqual(got["name"], each.want) {
				t.Fatalf("got %v, %v; want %v", got["name"], err, each.want)
			}
		})
	}
}

func TestABadInputIsNamed(t *testing.T) {
	for name, each := range map[string]struct {
		input *registryv1.Input
		want  string
	}{
		"param":    {param("whom"), `no param "whom"`},
		"key":      {output("load", "lines"), `"load" has no key "lines"`},
		"artifact": {output("far", ""), "artifact:00"},
		"literal":  {literal("{"), "unexpected end of JSON"},
		"nested":   {list(param("whom")), `no param "whom"`},
		"none":     {&registryv1.Input{}, "expected a literal"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := resolve(assignment(each.input))
			if err == nil || !strings.Contains(err.Error(), each.want) || !strings.Contains(err.Error(), `input "name"`) {
				t.Fatalf("got %v; want it to name the input and say %s", err, each.want)
			}
		})
	}
}
