package metrics

import (
	"math"
	"slices"
)

// Field takes one value out of a sample, such as
//
//	func(s Sample) Value { return s.CPU }
type Field func(Sample) Value

// Quantile returns the q-quantile of a field over samples, 0 being its least
// value, 0.5 the median and 1 the greatest, between two samples by linear
// interpolation. Samples in which the field is missing are left out; without
// any other, or with q outside of [0,1], it is missing.
//
// Of a field that is itself a quantile, such as P95, it tells how that went over
// time and not what it was over all requests.
func Quantile(samples []Sample, q float64, of Field) Value {
	values := measured(samples, of)
	if len(values) == 0 || !(q >= 0 && q <= 1) {
		return Missing
	}
	slices.Sort(values)
	rank := q * float64(len(values)-1)
	below := int(math.Floor(rank))
	above := min(below+1, len(values)-1)
	part := rank - float64(below)
	return V(values[below]*(1-part) + values[above]*part)
}

// Mean returns the mean of a field over the samples in which it was measured;
// missing where there is none.
func Mean(samples []Sample, of Field) Value {
	values := measured(samples, of)
	mean := 0.0
	for i, x := range values {
		mean += (x - mean) / float64(i+1)
	}
	if len(values) == 0 {
		return Missing
	}
	return V(mean)
}

func measured(samples []Sample, of Field) []float64 {
	values := make([]float64, 0, len(samples))
	for i := range samples {
		if x, ok := of(samples[i]).Get(); ok {
			values = append(values, x)
		}
	}
	return values
}
