package data

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
)

// fingerprintPictures is how many pictures a fingerprint reads.
const fingerprintPictures = 1024

// Fingerprint identifies a data set in a result's provenance: 32 hexadecimal
// digits of the SHA-256 over the number of pictures, the names of the classes,
// every label, and the size and values of at most 1,024 pictures evenly spaced
// over the set. It does not depend on the file format.
func Fingerprint(ctx context.Context, ds Dataset) (string, error) {
	h := sha256.New()
	number := func(v int) {
		var b [8]byte
		binary.LittleEndian.PutUint64(b[:], uint64(int64(v)))
		h.Write(b[:])
	}
	number(ds.Len())
	number(len(ds.Classes()))
	for _, c := range ds.Classes() {
		number(len(c))
		h.Write([]byte(c))
	}
	for i := range ds.Len() {
		number(ds.Label(i))
	}
	sample := Spread(ds, fingerprintPictures)
	digests := make([][sha256.Size]byte, sample.Len())
	err := forEach(ctx, sample.Len(), func(i int, s *Sample) error {
		if err := sample.Read(i, s); err != nil {
			return err
		}
		raw := binary.LittleEndian.AppendUint64(nil, uint64(s.H))
		raw = binary.LittleEndian.AppendUint64(raw, uint64(s.W))
		raw = append(binary.LittleEndian.AppendUint64(raw, uint64(s.C)), s.Pix...)
		for _, v := range s.Float {
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
		}
		digests[i] = sha256.Sum256(raw)
		return nil
	})
	if err != nil {
		return "", err
	}
	for i := range digests {
		h.Write(digests[i][:])
	}
	return hex.EncodeToString(h.Sum(nil))[:32], nil
}

// knownPrints are the fingerprints of published splits.
var knownPrints = map[string]string{
	"dc6ea0aa52561f9a71d24b1bce1bd60e": "cifar10@train",
	"c67e30ebf343ead51b0e92fab51a2764": "cifar10@test",
	"ac252945b36bdaca168e9ea38a84363c": "fashion-mnist@train",
	"bd86b62f87ba7978f1f7468df2b88981": "fashion-mnist@test",
}
