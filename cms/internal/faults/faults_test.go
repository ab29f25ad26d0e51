package faults

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/cms/reconcile"
	"github.com/elastipod/elastipod/cms/state"
	"github.com/elastipod/elastipod/pod"
)

func TestOf(t *testing.T) {
	for _, c := range []struct {
		err  error
		code reconcile.FaultCode
		text string
	}{
		{nil, "", ""},
		{errors.New("input/output error"), reconcile.FaultOther, "input/output error"},
		{pod.ErrImage, reconcile.FaultImage, "there is no such image or program"},
		{fmt.Errorf("start on host a: prepare: %w: shop:7", pod.ErrImage), reconcile.FaultImage, "shop:7"},
		{fmt.Errorf("prepare: %w: Docker Hub: unauthorized", pod.ErrImageDenied), reconcile.FaultDenied, "Docker Hub: unauthorized"},
		{fmt.Errorf("prepare: %w", pod.ErrImageElsewhere), reconcile.FaultElsewhere, "the image is on another host only, and in no registry"},
		{fmt.Errorf("prepare: %w: 429 Too Many Requests", pod.ErrRegistry), reconcile.FaultRegistry, "429 Too Many Requests"},
		{fmt.Errorf("%w: exit code 1", pod.ErrExited), reconcile.FaultExited, "exit code 1"},
		{fmt.Errorf("%w after 20s: dial tcp: connection refused", ErrNotReady), reconcile.FaultNotReady, "after 20s: dial tcp: connection refused"},
		{fmt.Errorf("ssh: %w: %w", pod.ErrUnreachable, context.DeadlineExceeded), reconcile.FaultUnreachable, "there was no answer in time"},
		{fmt.Errorf("observe: %w: cluster prod is of id 7", pod.ErrForeign), reconcile.FaultForeign, "cluster prod is of id 7"},
		{fmt.Errorf("start: %w", pod.ErrUnsupported), reconcile.FaultUnsupported, "the runtime cannot do that"},
		{fmt.Errorf("%w: secret token: open /run/token: no such file", ErrSecret), reconcile.FaultSecret, "secret token: open /run/token: no such file"},
		{fmt.Errorf("set front web: %w", balancer.ErrAddressInUse), reconcile.FaultAddress, "another program listens there"},
		{fmt.Errorf("apply: %w: web", balancer.ErrNoFront), reconcile.FaultNoFront, "web"},
		{balancer.ErrUnavailable, reconcile.FaultBalancer, "the balancer does not answer"},
		{balancer.ErrClosed, reconcile.FaultBalancer, "the balancer was closed"},
		{fmt.Errorf("save: %w: write /var: no space left", state.ErrStoreFull), reconcile.FaultStoreFull, "write /var: no space left"},
		{state.ErrStoreCorrupt, reconcile.FaultStore, "the store cannot be read"},
		{fmt.Errorf("start: %w", context.Canceled), reconcile.FaultCanceled, "it was given up"},
		{context.DeadlineExceeded, reconcile.FaultTimeout, "there was no answer in time"},
		{&url.Error{Op: "Get", URL: "http://127.0.0.1:1/", Err: context.DeadlineExceeded}, reconcile.FaultTimeout, "there was no answer in time"},
		{&url.Error{Op: "Get", URL: "http://x/", Err: errors.New("dial tcp 127.0.0.1:1: connection refused")}, reconcile.FaultOther, "dial tcp 127.0.0.1:1: connection refused"},
	} {
		f := Of(c.err)
		assert.Equal(t, reconcile.Fault{Code: c.code, Text: c.text}, f, "%v", c.err)
	}
}

// Every error that has a code is found however deep it is wrapped, and nothing of
// the way that it took is left in the text.
func TestNoChainOfErrorsIsLeft(t *testing.T) {
	for _, k := range known {
		for _, err := range []error{k.err, fmt.Errorf("pod: start node web/n1: prepare: %w", k.err), fmt.Errorf("cms: a: %w", fmt.Errorf("b: %w: it said no", k.err))} {
			f := Of(err)
			assert.Equal(t, k.code, f.Code, "%v", err)
			assert.NotEmpty(t, f.Text)
			for _, prefix := range []string{"pod:", "cms:", "balancer:", "context "} {
				assert.NotContains(t, f.Text, prefix, "%v", err)
			}
			assert.True(t, f.Text == k.words || f.Text == "it said no", f.Text)
		}
	}
}

func TestOr(t *testing.T) {
	assert.Equal(t, reconcile.Fault{}, Or(reconcile.FaultStore, nil))
	assert.Equal(t, reconcile.Fault{Code: reconcile.FaultStore, Text: "disk on fire"}, Or(reconcile.FaultStore, errors.New("disk on fire")))
	assert.Equal(t, reconcile.FaultStoreFull, Or(reconcile.FaultStore, state.ErrStoreFull).Code)
}
