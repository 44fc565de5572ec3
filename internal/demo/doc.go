// Package demo holds the network and the images that "drawknife compress"
// works on when it is given no model.
//
// The network is a CIFAR-style ResNet-8 with projection shortcuts, trained by
// this project on the whole training split of Fashion-MNIST (Xiao, Rasul and
// Vollgraf, 2017). Beside it lie 3,000 images of the training split, to
// calibrate and fine-tune on, and 2,000 of the test split, to measure accuracy
// on; both have as many of each class. The images are Zalando's, under the
// licence in LICENSE-fashion-mnist.
//
// To make the files again, with Fashion-MNIST in one of the places that
// data.Dir names (or given with -data fashion-mnist:DIR):
//
//	go run internal/demo/make.go
//
// The same seed gives the same files on every machine whose engine runs the
// same instruction set.
package demo
