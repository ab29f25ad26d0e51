package cms

import "github.com/elastipod/elastipod/cms/reconcile"

// OnTurn has f told of each turn of each pod's loop, by their goroutines. It is set
// before the manager runs.
func (m *Manager) OnTurn(f func(reconcile.World, reconcile.Plan)) { m.turned = f }
