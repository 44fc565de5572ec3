// Package dataflow has machines whose dataflow is fixed, in closed form:
// systolic arrays, arrays that spread channels or pixels, and row-stationary
// arrays. A systolic array can also be simulated fold by fold, with stalls
// when memory does not deliver in time.
//
// A layer is a matrix product here: X = P·Q pixels of an image, K filters and
// a window of L = C·R·S products. Groups and images run one after another.
package dataflow
