package accel

import (
	"github.com/drawknife/drawknife/hardware"
	"github.com/drawknife/drawknife/hardware/sparsity"
)

// filterSize is the number of weights of an output channel.
func filterSize(l *hardware.Layer) int {
	return l.Size[hardware.C] * l.Size[hardware.R] * l.Size[hardware.S]
}

// filterMask marks the non-zero weights of a layer in the order output channel
// (of all groups), input channel, row, column. It is nil where the weights are
// not known or do not have this form. A square matrix of a fully connected
// layer is taken to have a row for each output.
func filterMask(l *hardware.Layer) sparsity.Mask {
	if l.Weight == nil || l.Transposed || len(l.Weight.Shape) < 2 || int64(l.Weight.Len()) != l.Words(hardware.Weights) {
		return nil
	}
	channels, shape := l.Size[hardware.G]*l.Size[hardware.K], l.Weight.Shape
	turned := shape[0] != channels
	if turned && (len(shape) != 2 || shape[1] != channels) {
		return nil
	}
	mask, err := sparsity.MaskOf(l.Weight)
	if err != nil || !turned {
		return mask
	}
	rows := make(sparsity.Mask, len(mask))
	for i, x := range mask {
		rows[i%channels*filterSize(l)+i/channels] = x
	}
	return rows
}
