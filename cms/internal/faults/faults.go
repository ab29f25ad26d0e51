// Package faults turns Go errors into values that say what happened: a code for
// programs, and words for a person, without the names of functions and packages
// that the errors went through.
package faults

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/cms/reconcile"
	"github.com/elastipod/elastipod/cms/state"
	"github.com/elastipod/elastipod/pod"
)

// ErrSecret says that a secret cannot be read.
var ErrSecret = errors.New("cms: secret not readable")

// ErrNotReady says that a node did not pass its probe in time.
var ErrNotReady = errors.New("cms: not ready")

// known are the errors that have a code, the more particular ones first. Words
// stand for the error where it says nothing else.
var known = []struct {
	err   error
	code  reconcile.FaultCode
	words string
}{
	{pod.ErrForeign, reconcile.FaultForeign, "it belongs to another manager of this cluster's name"},
	{pod.ErrUnreachable, reconcile.FaultUnreachable, "the host does not answer"},
	{ErrSecret, reconcile.FaultSecret, "a secret cannot be read"},
	{pod.ErrImage, reconcile.FaultImage, "there is no such image or program"},
	{pod.ErrImageDenied, reconcile.FaultDenied, "the registry denies access to the image"},
	{pod.ErrImageElsewhere, reconcile.FaultElsewhere, "the image is on another host only, and in no registry"},
	{pod.ErrRegistry, reconcile.FaultRegistry, "the registry did not deliver the image"},
	{pod.ErrUnsupported, reconcile.FaultUnsupported, "the runtime cannot do that"},
	{pod.ErrExited, reconcile.FaultExited, "it ended before it was ready"},
	{ErrNotReady, reconcile.FaultNotReady, "it was not ready in time"},
	{balancer.ErrAddressInUse, reconcile.FaultAddress, "another program listens there"},
	{balancer.ErrNoFront, reconcile.FaultNoFront, "the balancer does not have the front"},
	{balancer.ErrUnavailable, reconcile.FaultBalancer, "the balancer does not answer"},
	{balancer.ErrClosed, reconcile.FaultBalancer, "the balancer was closed"},
	{state.ErrStoreFull, reconcile.FaultStoreFull, "there is no room for the store"},
	{state.ErrStoreCorrupt, reconcile.FaultStore, "the store cannot be read"},
	{context.Canceled, reconcile.FaultCanceled, "it was given up"},
	{context.DeadlineExceeded, reconcile.FaultTimeout, "there was no answer in time"},
}

// Of returns what err says; the zero Fault for nil.
func Of(err error) reconcile.Fault {
	if err == nil {
		return reconcile.Fault{}
	}
	f := reconcile.Fault{Code: reconcile.FaultOther, Text: err.Error()}
	cut := false
	for _, k := range known {
		if !errors.Is(err, k.err) {
			continue
		}
		if f.Code == reconcile.FaultOther {
			f.Code = k.code
		}
		// What follows the error's own text is what happened; what goes before it is
		// the way that it took.
		i := strings.LastIndex(f.Text, k.err.Error())
		if i < 0 {
			continue
		}
		if f.Text, cut = strings.TrimLeft(f.Text[i+len(k.err.Error()):], ": "), true; f.Text == "" {
			f.Text = k.words
			return f
		}
	}
	if !cut {
		f.Text = innermost(err).Error()
	}
	return f
}

// innermost returns the error that [fmt.Errorf] or an HTTP client put words around.
// Others, such as those of package os, say what they are about.
func innermost(err error) error {
	for {
		switch fmt.Sprintf("%T", err) {
		case "*fmt.wrapError", "*url.Error":
			err = errors.Unwrap(err)
		case "*fmt.wrapErrors", "*errors.joinError":
			all := err.(interface{ Unwrap() []error }).Unwrap()
			err = all[len(all)-1]
		default:
			return err
		}
	}
}

// Or returns what err says, under another code where it has none of its own.
func Or(code reconcile.FaultCode, err error) reconcile.Fault {
	f := Of(err)
	if f.Code == reconcile.FaultOther {
		f.Code = code
	}
	return f
}
