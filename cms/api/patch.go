package api

import (
	"encoding/json"
	"net/http"
)

// mergePatch changes target as RFC 7396 says and returns it.
func mergePatch(target, patch any) any {
	changes, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	object, ok := target.(map[string]any)
	if !ok {
		object = map[string]any{}
	}
	for name, change := range changes {
		if change == nil {
			delete(object, name)
		} else {
			object[name] = mergePatch(object[name], change)
		}
	}
	return object
}

// toObject returns v as the JSON object that it is on the wire.
func toObject(v any) (map[string]any, *problem) {
	data, err := json.Marshal(v)
	if err != nil { // our own types
		return nil, newProblem(http.StatusInternalServerError, "the server failed to write JSON; report this as a bug")
	}
	return parseObject(data)
}

// patched returns current with the patch applied, checked as a whole.
func patched[T any](current T, patch map[string]any) (T, *problem) {
	object, p := toObject(current)
	if p != nil {
		return current, p
	}
	merged, _ := mergePatch(object, patch).(map[string]any)
	return fill[T](merged)
}
