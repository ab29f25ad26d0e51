package cmstest

import (
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"github.com/elastipod/elastipod/cms/state"
	"github.com/elastipod/elastipod/pod"
)

func named(name string) state.Pod {
	return state.Pod{Spec: state.PodSpec{Spec: pod.Spec{Name: name}}}
}

func host(name string) state.Host {
	return state.Host{Host: pod.Host{Name: name, Runtime: "process"}}
}

func podNames(s state.State) []string {
	var out []string
	for _, p := range s.Pods {
		out = append(out, p.Spec.Name)
	}
	return out
}

func hostNames(s state.State) []string {
	var out []string
	for _, h := range s.Hosts {
		out = append(out, h.Host.Name)
	}
	return out
}

// FullPod returns a record in which every field, at any depth, is set, each to a
// value of its own, so that a store that forgets one is found out also when
// fields are added later. It need not be a valid pod.
func FullPod() state.Pod {
	var p state.Pod
	(&filler{}).fill(reflect.ValueOf(&p).Elem())
	return p
}

// FullHost returns a record with every field set, as [FullPod] does.
func FullHost() state.Host {
	var h state.Host
	(&filler{}).fill(reflect.ValueOf(&h).Elem())
	return h
}

// filler sets values, each different from the others.
type filler struct{ n int }

func (f *filler) fill(v reflect.Value) {
	f.n++
	switch v.Addr().Interface().(type) {
	case *time.Time:
		v.Set(reflect.ValueOf(time.Date(2026, 11, 23, 12, 0, 0, f.n, time.UTC)))
		return
	case *pod.State:
		v.Set(reflect.ValueOf(pod.States()[f.n%len(pod.States())]))
		return
	case *json.RawMessage:
		v.Set(reflect.ValueOf(json.RawMessage(fmt.Sprintf(`{"kind":"threshold","if":"a < b && c > %d"}`, f.n))))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("text \"%d\" <ü>\n", f.n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(f.n))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(f.n))
	case reflect.Float32, reflect.Float64:
		v.SetFloat(float64(f.n) + 0.1)
	case reflect.Struct:
		for i := range v.NumField() {
			f.fill(v.Field(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			f.fill(v.Index(i))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range 2 {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			f.fill(key)
			f.fill(value)
			v.SetMapIndex(key, value)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem())
	case reflect.Interface: // what no store keeps
	default:
		panic("cmstest: teach fill about " + v.Type().String())
	}
}

// scramble overwrites everything that a record refers to: elements of slices
// and maps.
func scramble(record any) { scrambleValue(reflect.ValueOf(record).Elem()) }

func scrambleValue(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		if _, ok := v.Addr().Interface().(*time.Time); ok {
			return
		}
		for i := range v.NumField() {
			scrambleValue(v.Field(i))
		}
	case reflect.Slice:
		for i := range v.Len() {
			scrambleValue(v.Index(i))
			v.Index(i).SetZero()
		}
	case reflect.Map:
		v.Clear()
	case reflect.Pointer:
		if !v.IsNil() {
			scrambleValue(v.Elem())
			v.Elem().SetZero()
		}
	}
}
