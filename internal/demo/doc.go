// Package demo holds the network and the images that "drawknife compress"
// works on when it is given no model.
//
// The network is a CIFAR-style ResNet-8 with projection shortcuts and one and a
// half times the channels (173,760 parameters, 0.7 MB), trained by this project
// on the whole training split of Fashion-MNIST (Xiao, Rasul and Vollgraf, 2017):
// 93.09 % top-1 on the whole test split. The extra channels are there so that
// there is something to prune. Beside it lie 3,000 images of the training
// split, to calibrate and fine-tune on, and 2,000 of the test split, to measure
// accuracy on, with 2,000 others of it, to choose between candidates by; all have
// as many of each class. The images are Zalando's, under
// the licence in LICENSE-fashion-mnist.
//
// To make the files again, with Fashion-MNIST in one of the places that
// data.Dir names (or given with -data fashion-mnist:DIR):
//
//	go run internal/demo/make.go
//	drawknife train internal/demo/model.onnx -o out/model.onnx --data fashion-mnist --augment flip --epochs 3 \
//		--batch 64 --lr 0.03 --nesterov --weight-decay 5e-4 --warmup 0.05
//
// The first command writes the images and trains for six epochs with shifted
// and mirrored images (91.93 %), the second goes on for three with mirrored
// ones only; out/model.onnx is then the network. docs/results/training.md has
// both logs. A seed decides everything random, but later versions of the
// kernels and of the augmentation round or pad differently, so the weights need
// not be the same to the bit.
package demo
