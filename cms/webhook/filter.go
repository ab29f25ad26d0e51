package webhook

import (
	"slices"
	"strings"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/api"
)

// familyRollout is accepted whichever types it has.
const familyRollout = "rollout"

// checkType says what is wrong with the name of a type or of a family.
func checkType(name string) (problem, allowed string) {
	families := []string{"*", familyRollout}
	types := api.EventTypeNames()
	for _, t := range types {
		if family, _, ok := strings.Cut(t, "."); ok {
			families = append(families, family)
		}
	}
	types = slices.DeleteFunc(types, func(t string) bool { return t == string(cms.EventTick) })
	known := slices.Compact(slices.Sorted(slices.Values(append(families, types...))))
	family := strings.TrimSuffix(name, ".*")
	switch {
	case name == string(cms.EventTick):
		return "ticks are not sent: there is one a second and pod", "use pod.scaled, or follow GET /v1/events"
	case slices.Contains(known, family), strings.HasPrefix(family, familyRollout+"."):
		return "", ""
	}
	return "there is no type of events of this name", "use " + strings.Join(known, ", ")
}

// wants says whether a target gets an event. That events were lost concerns
// every target.
func (t Target) wants(e cms.Event) bool {
	switch {
	case e.Type == cms.EventTick:
		return false
	case e.Type == cms.EventReset:
		return true
	case len(t.Pods) > 0 && !slices.Contains(t.Pods, e.Pod):
		return false
	}
	return slices.ContainsFunc(t.Types, func(name string) bool {
		family := strings.TrimSuffix(name, ".*")
		return name == "*" || string(e.Type) == name || strings.HasPrefix(string(e.Type), family+".")
	})
}
