package data

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// server serves one file with byte ranges and breaks connections: each answer
// ends after at most chunk bytes. It counts requests and bytes.
type server struct {
	*httptest.Server
	requests, sent atomic.Int64
	ranges         bool
}

func serve(t *testing.T, content []byte, chunk int, ranges bool) *server {
	s := &server{ranges: ranges}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		from := 0
		if h := r.Header.Get("Range"); h != "" && ranges {
			if _, err := fmt.Sscanf(h, "bytes=%d-", &from); err != nil {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			if from >= len(content) {
				w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
				return
			}
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(content)-1, len(content)))
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(content)-from))
		if from > 0 {
			w.WriteHeader(http.StatusPartialContent)
		}
		body := content[from:]
		if chunk > 0 && len(body) > chunk {
			n, _ := w.Write(body[:chunk])
			s.sent.Add(int64(n))
			if f, ok := w.(http.Flusher); ok {
				f.Flush()
			}
			panic(http.ErrAbortHandler) // the connection breaks
		}
		n, _ := w.Write(body)
		s.sent.Add(int64(n))
	}))
	t.Cleanup(s.Close)
	return s
}

func noise(n int) []byte {
	rng := stream(3, 0, 77)
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

func assetOf(content []byte) Asset {
	return Asset{Name: "set.gz", MD5: fmt.Sprintf("%x", md5.Sum(content))}
}

func options(t *testing.T, base string) DownloadOptions {
	o := DownloadOptions{Dir: t.TempDir(), Base: base, Wait: time.Microsecond, Retries: 2}
	o.fill(Info{Name: "test"})
	return o
}

func TestDownloadTakesBrokenTransfersUp(t *testing.T) {
	content := noise(300_000)
	s := serve(t, content, 100_000, true)
	o := options(t, s.URL)
	var last, total int64
	o.Progress = func(_ string, d, n int64) { last, total = d, n }
	target := filepath.Join(o.Dir, "set.gz")
	if err := o.fetch(context.Background(), assetOf(content), target); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(target)
	if err != nil || !bytes.Equal(got, content) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	if s.requests.Load() != 3 || s.sent.Load() != 300_000 || last != 300_000 || total != 300_000 || exists(target+".part") {
		t.Errorf("%d requests, %d bytes sent, progress %d of %d", s.requests.Load(), s.sent.Load(), last, total)
	}
}

func TestDownloadGoesOnWithAPart(t *testing.T) {
	content := noise(50_000)
	for _, ranges := range []bool{true, false} {
		s := serve(t, content, 0, ranges)
		o := options(t, s.URL)
		target := filepath.Join(o.Dir, "set.gz")
		if err := os.WriteFile(target+".part", content[:30_000], 0o644); err != nil {
			t.Fatal(err)
		}
		if err := o.fetch(context.Background(), assetOf(content), target); err != nil {
			t.Fatal(err)
		}
		want := int64(20_000)
		if !ranges { // a server that knows no ranges sends all
			want = 50_000
		}
		if s.sent.Load() != want {
			t.Errorf("ranges %v: %d bytes sent, want %d", ranges, s.sent.Load(), want)
		}
	}
	// A part of something else is thrown away and the file fetched whole.
	s := serve(t, content, 0, true)
	o := options(t, s.URL)
	target := filepath.Join(o.Dir, "set.gz")
	for _, old := range [][]byte{noise(60_000), bytes.Repeat([]byte{1}, 10)} {
		if err := os.WriteFile(target+".part", old, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := o.fetch(context.Background(), assetOf(content), target); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDownloadRefusesAWrongChecksum(t *testing.T) {
	content := noise(1000)
	s := serve(t, content, 0, true)
	o := options(t, s.URL)
	a := assetOf(content[1:])
	target := filepath.Join(o.Dir, "set.gz")
	if err := o.fetch(context.Background(), a, target); err == nil || !strings.Contains(err.Error(), "MD5") {
		t.Errorf("error %v", err)
	}
	if exists(target) || exists(target+".part") {
		t.Error("a wrong file is left behind")
	}
}

func TestDownloadGivesUp(t *testing.T) {
	for status, attempts := range map[int]int64{http.StatusNotFound: 1, http.StatusServiceUnavailable: 3} {
		var requests atomic.Int64
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			requests.Add(1)
			w.WriteHeader(status)
		}))
		defer s.Close()
		o := options(t, s.URL)
		err := o.fetch(context.Background(), assetOf(nil), filepath.Join(o.Dir, "set.gz"))
		if err == nil || !strings.Contains(err.Error(), fmt.Sprint(status)) || requests.Load() != attempts {
			t.Errorf("status %d: %d requests, %v", status, requests.Load(), err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	o := options(t, "http://127.0.0.1:1")
	if err := o.fetch(ctx, assetOf(nil), filepath.Join(o.Dir, "set.gz")); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := Download(context.Background(), "cifar11", DownloadOptions{}); err == nil {
		t.Error("an unknown data set downloads")
	}
}

// The content's checksum decides, not that of the compressed file.
func TestAssetContent(t *testing.T) {
	p := filepath.Join(t.TempDir(), "x.gz")
	for level, want := range map[int]bool{gzip.BestSpeed: true, gzip.BestCompression: true} {
		var out bytes.Buffer
		zw, err := gzip.NewWriterLevel(&out, level)
		if err != nil {
			t.Fatal(err)
		}
		zw.Write([]byte("abc"))
		zw.Close()
		if err := os.WriteFile(p, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		// SHA-256 of "abc" (FIPS 180-2, appendix B.1).
		a := Asset{Name: "x.gz", ContentSHA256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}
		if got := a.verify(p) == nil; got != want {
			t.Errorf("level %d: %v", level, a.verify(p))
		}
		a.ContentSHA256 = strings.Repeat("0", 64)
		if a.verify(p) == nil {
			t.Error("wrong content passes")
		}
	}
	if err := os.WriteFile(p, []byte("not gzip"), 0o644); err != nil {
		t.Fatal(err)
	}
	if (Asset{ContentSHA256: "00"}).verify(p) == nil {
		t.Error("a file that is not gzip passes")
	}
}

func TestDownloadFrom(t *testing.T) {
	from := t.TempDir()
	files := map[string][]byte{"test_batch.bin": cifarFile(2, 1, 0)}
	for i := range 5 {
		files[fmt.Sprintf("data_batch_%d.bin", i+1)] = cifarFile(1, 1, i)
	}
	write(t, from, files)
	dir, err := Download(context.Background(), "cifar10", DownloadOptions{From: from, Dir: filepath.Join(t.TempDir(), "new")})
	if err != nil {
		t.Fatal(err)
	}
	ds, err := Open("cifar10:"+dir+"@train", Options{})
	if err != nil || ds.Len() != 5 {
		t.Errorf("%v", err)
	}
	if _, err := Download(context.Background(), "cifar10", DownloadOptions{From: from, Dir: from}); err != nil {
		t.Errorf("copying onto itself: %v", err)
	}
	if _, err := Download(context.Background(), "mnist", DownloadOptions{From: from, Dir: t.TempDir()}); err == nil {
		t.Error("MNIST is found in a folder of CIFAR-10")
	}
	write(t, from, map[string][]byte{"cifar-100-binary.tar.gz": []byte("wrong")})
	if _, err := Download(context.Background(), "cifar100", DownloadOptions{From: from, Dir: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "MD5") {
		t.Errorf("a wrong archive: %v", err)
	}
}

// A known set is downloaded whole: the official names below the base address.
func TestDownloadKnownSet(t *testing.T) {
	var asked []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Path)
		http.NotFound(w, r)
	}))
	defer s.Close()
	_, err := Download(context.Background(), "cifar100", DownloadOptions{Base: s.URL + "/mirror", Dir: t.TempDir()})
	if err == nil || len(asked) != 1 || asked[0] != "/mirror/cifar-100-binary.tar.gz" {
		t.Errorf("asked for %v, %v", asked, err)
	}
	for _, info := range List() {
		if _, ok := knownSet(info.Name); !ok || len(info.Assets) == 0 || info.Base == "" || info.Licence == "" {
			t.Errorf("%s is described badly", info.Name)
		}
		for _, a := range info.Assets {
			if len(a.MD5) != 32 {
				t.Errorf("%s: MD5 %q", a.Name, a.MD5)
			}
		}
	}
}
