package cms

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/elastipod/elastipod/cms/reconcile"
)

// mailbox holds the commands to a pod's loop that are not answered yet, and wakes
// the loop.
type mailbox struct {
	wakes chan struct{}

	mu      sync.Mutex
	lastID  uint64
	waiting []reconcile.Command // oldest first
	callers map[uint64]chan<- reply
}

// reply is the answer to a command, with the pod as it was then.
type reply struct {
	answer reconcile.Answer
	status *PodStatus
	gone   bool  // the loop ends with this answer
	err    error // why nothing could be saved, where that is the answer
}

func newMailbox() *mailbox {
	return &mailbox{wakes: make(chan struct{}, 1), callers: map[uint64]chan<- reply{}}
}

// wake makes the loop look at the world now.
func (b *mailbox) wake() {
	select {
	case b.wakes <- struct{}{}:
	default:
	}
}

// post hands a command to the loop and returns where its answer comes.
func (b *mailbox) post(c reconcile.Command) (id uint64, answer <-chan reply) {
	caller := make(chan reply, 1)
	b.mu.Lock()
	b.lastID++
	c.ID = b.lastID
	b.waiting = append(b.waiting, c)
	b.callers[c.ID] = caller
	b.mu.Unlock()
	b.wake()
	return c.ID, caller
}

// withdraw takes a command back that nobody waits for any more.
func (b *mailbox) withdraw(id uint64) {
	b.mu.Lock()
	b.waiting = slices.DeleteFunc(b.waiting, func(c reconcile.Command) bool { return c.ID == id })
	delete(b.callers, id)
	b.mu.Unlock()
	b.wake()
}

// commands returns those that are not answered yet.
func (b *mailbox) commands() []reconcile.Command {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.waiting)
}

// answer answers commands.
func (b *mailbox) answer(answers []reconcile.Answer, status *PodStatus, gone bool, err error) {
	if len(answers) == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, a := range answers {
		b.waiting = slices.DeleteFunc(b.waiting, func(c reconcile.Command) bool { return c.ID == a.ID })
		if caller := b.callers[a.ID]; caller != nil {
			caller <- reply{a, status, gone, err}
			delete(b.callers, a.ID)
		}
	}
}

// command sends a command to a loop and waits for its answer.
func (l *loop) command(ctx context.Context, c reconcile.Command) (PodStatus, *NodeRecord, error) {
	c.Cause = l.m.trace.Cause(ctx)
	id, answer := l.box.post(c)
	return l.await(ctx, id, answer)
}

// await waits for the answer to a command.
func (l *loop) await(ctx context.Context, id uint64, answer <-chan reply) (PodStatus, *NodeRecord, error) {
	select {
	case r := <-answer:
		if r.gone {
			<-l.done // the name is free then
		}
		return r.result(l.name)
	case <-l.done:
		select {
		case r := <-answer: // its last words
			return r.result(l.name)
		default:
		}
		return PodStatus{}, nil, l.over()
	case <-ctx.Done():
		l.box.withdraw(id)
		return PodStatus{}, nil, ctx.Err()
	}
}

func (r reply) result(pod string) (PodStatus, *NodeRecord, error) {
	a := r.answer
	switch a.Kind {
	case reconcile.AnswerDone:
		if r.status == nil {
			return PodStatus{}, a.Node, noPod(pod)
		}
		return *r.status, a.Node, nil
	case reconcile.AnswerInvalid:
		return PodStatus{}, nil, a.Faults
	case reconcile.AnswerExists:
		return PodStatus{}, nil, &Refusal{Kind: ErrExists, Text: a.Text}
	case reconcile.AnswerNotFound:
		return PodStatus{}, nil, &Refusal{Kind: ErrNotFound, Text: a.Text}
	case reconcile.AnswerUnsaved:
		return PodStatus{}, nil, &Refusal{Kind: errors.Join(ErrUnsaved, r.err), Text: "nothing can be saved, so nothing was changed: " + a.Text}
	case reconcile.AnswerFailed:
		return PodStatus{}, nil, &Refusal{Kind: ErrBalancer, Text: a.Text}
	default:
		return PodStatus{}, nil, &Refusal{Kind: ErrConflict, Text: a.Text}
	}
}

// over says why the loop has ended.
func (l *loop) over() error {
	if l.m.life.now().over() {
		return ErrNotRunning
	}
	return noPod(l.name)
}
