package data

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// DownloadOptions says where data come from and go; the zero value downloads
// from the official address to [Dir].
type DownloadOptions struct {
	// Dir receives the files.
	Dir string
	// From is a folder that has the files: they are checked and copied, and
	// nothing is downloaded.
	From string
	// Base takes the place of the official address.
	Base string
	// Client makes the requests (default http.DefaultClient).
	Client *http.Client
	// Progress, if set, is called as bytes of a file arrive; total is −1 if the
	// server does not say.
	Progress func(file string, done, total int64)
	// Retries is how often a broken transfer is taken up again without having
	// received anything in between (default 4).
	Retries int
	// Wait is the pause before the first retry; each further one doubles it
	// (default a second).
	Wait time.Duration
}

// maxDownload bounds one file.
const maxDownload = 4 << 30

// Download fetches the files of a known data set, or copies them from
// opts.From, checks them, and returns the folder they are in. What is there and
// right already is left alone. A broken transfer leaves a file NAME.part, which
// the next call goes on with; a file appears under its own name only when its
// checksum is right.
func Download(ctx context.Context, name string, opts DownloadOptions) (dir string, err error) {
	info, ok := Find(name)
	if !ok {
		return "", fmt.Errorf("data: no known data set %q; there are %s", name, strings.Join(knownNames(), ", "))
	}
	opts.fill(info)
	if err := os.MkdirAll(opts.Dir, 0o755); err != nil {
		return "", fmt.Errorf("data: download: %w", err)
	}
	if opts.From != "" {
		return opts.Dir, copyForm(ctx, info, opts)
	}
	for _, a := range info.Assets {
		target := filepath.Join(opts.Dir, a.Name)
		if exists(target) && a.verify(target) == nil {
			continue
		}
		if err := opts.fetch(ctx, a, target); err != nil {
			return "", fmt.Errorf("data: download %s: %w", a.Name, err)
		}
	}
	return opts.Dir, nil
}

func (o *DownloadOptions) fill(info Info) {
	if o.Dir == "" {
		o.Dir = userDir(info.Name)
	}
	if o.Base == "" {
		o.Base = info.Base
	}
	if !strings.HasSuffix(o.Base, "/") {
		o.Base += "/"
	}
	if o.Client == nil {
		o.Client = http.DefaultClient
	}
	if o.Progress == nil {
		o.Progress = func(string, int64, int64) {}
	}
	if o.Retries == 0 {
		o.Retries = 4
	}
	if o.Wait == 0 {
		o.Wait = time.Second
	}
}

// fetch downloads one file by way of NAME.part.
func (o *DownloadOptions) fetch(ctx context.Context, a Asset, target string) error {
	part := target + ".part"
	resumed := exists(part)
	for {
		if err := o.transfer(ctx, a, part); err != nil {
			return err
		}
		err := a.verify(part)
		if err == nil {
			return os.Rename(part, target)
		}
		os.Remove(part)
		if !resumed {
			return err
		}
		resumed = false // the old part may have been the cause: once more, from the start
	}
}

// transfer completes a part, taking broken connections up again.
func (o *DownloadOptions) transfer(ctx context.Context, a Asset, part string) error {
	f, err := os.OpenFile(part, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	wait := o.Wait
	for failures := 0; ; {
		before, err := f.Seek(0, io.SeekEnd)
		if err != nil {
			return err
		}
		err = o.get(ctx, a, f, before)
		if err == nil {
			return f.Sync()
		}
		var fatal fatalError
		if errors.As(err, &fatal) {
			return fatal.error
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if after, _ := f.Seek(0, io.SeekEnd); after > before {
			failures, wait = 0, o.Wait
		} else if failures++; failures > o.Retries {
			return fmt.Errorf("gave up after %d attempts: %w; run it again to go on from %d bytes", failures, err, after)
		}
		select {
		case <-time.After(wait):
			wait *= 2
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// fatalError is one that another attempt would not cure.
type fatalError struct{ error }

// get asks for the rest of a file that has size bytes and appends it.
func (o *DownloadOptions) get(ctx context.Context, a Asset, f *os.File, size int64) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, o.Base+a.Name, nil)
	if err != nil {
		return fatalError{err}
	}
	// The client must not unpack a file that is published in packed form.
	req.Header.Set("Accept-Encoding", "identity")
	if size > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", size))
	}
	resp, err := o.Client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusPartialContent:
		var from int64
		if _, err := fmt.Sscanf(resp.Header.Get("Content-Range"), "bytes %d-", &from); err != nil || from != size {
			return fatalError{fmt.Errorf("the server answered with the range %q instead of %d-", resp.Header.Get("Content-Range"), size)}
		}
	case resp.StatusCode == http.StatusOK: // the whole file, whatever was asked
		size = 0
		if err := f.Truncate(0); err != nil {
			return fatalError{err}
		}
	case resp.StatusCode == http.StatusRequestedRangeNotSatisfiable:
		return nil // nothing is missing; the checksum decides
	case resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests:
		return fmt.Errorf("%s: %s", req.URL, resp.Status)
	default:
		return fatalError{fmt.Errorf("%s: %s", req.URL, resp.Status)}
	}
	if _, err := f.Seek(size, io.SeekStart); err != nil {
		return fatalError{err}
	}
	total := int64(-1)
	if resp.ContentLength >= 0 {
		total = size + resp.ContentLength
	}
	return o.copyBody(f, resp.Body, a.Name, size, total)
}

// copyBody appends body to f; only errors of reading can be cured by trying again.
func (o *DownloadOptions) copyBody(f *os.File, body io.Reader, name string, done, total int64) error {
	buf := make([]byte, 1<<16)
	for {
		n, err := body.Read(buf)
		if n > 0 {
			if _, werr := f.Write(buf[:n]); werr != nil {
				return fatalError{werr}
			}
			if done += int64(n); done > maxDownload {
				return fatalError{fmt.Errorf("the server sends more than %d bytes", int64(maxDownload))}
			}
			o.Progress(name, done, total)
		}
		if errors.Is(err, io.EOF) {
			if total >= 0 && done < total {
				return io.ErrUnexpectedEOF
			}
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// verify checks a file against the checksums of a.
func (a Asset) verify(file string) error {
	if a.ContentSHA256 != "" {
		got, err := digest(file, sha256.New(), true)
		if err != nil {
			return err
		}
		if got != a.ContentSHA256 {
			return fmt.Errorf("%s: the content has SHA-256 %s, want %s", filepath.Base(file), got, a.ContentSHA256)
		}
		return nil
	}
	got, err := digest(file, md5.New(), false)
	if err != nil {
		return err
	}
	if got != a.MD5 {
		return fmt.Errorf("%s: MD5 %s, want %s", filepath.Base(file), got, a.MD5)
	}
	return nil
}

// digest is the hash of a file's bytes or of its gunzip'd content.
func digest(file string, h hash.Hash, content bool) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	var in io.Reader = f
	if content {
		zr, err := gzip.NewReader(bufio.NewReader(f))
		if err != nil {
			return "", fmt.Errorf("%s: %w", filepath.Base(file), err)
		}
		in = io.LimitReader(zr, maxDownload)
	}
	if _, err := io.Copy(h, in); err != nil {
		return "", fmt.Errorf("%s: %w", filepath.Base(file), err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// copyForm copies the data from opts.From, in whatever form it has them.
func copyForm(ctx context.Context, info Info, opts DownloadOptions) error {
	var official []string
	for _, a := range info.Assets {
		official = append(official, a.Name)
	}
	for i, form := range append([][]string{official}, info.forms...) {
		if !allExist(opts.From, form) {
			continue
		}
		for k, name := range form {
			src := filepath.Join(opts.From, name)
			if i == 0 {
				if err := info.Assets[k].verify(src); err != nil {
					return fmt.Errorf("data: copy from %s: %w", opts.From, err)
				}
			}
			if err := copyFile(ctx, src, filepath.Join(opts.Dir, name), name, opts.Progress); err != nil {
				return fmt.Errorf("data: copy from %s: %w", opts.From, err)
			}
		}
		return nil
	}
	return fmt.Errorf("data: %s does not hold %s: want %s", opts.From, info.Name, strings.Join(official, ", "))
}

func allExist(dir string, names []string) bool {
	for _, n := range names {
		if !exists(filepath.Join(dir, n)) {
			return false
		}
	}
	return true
}

// copyFile copies src to dst, which appears whole or not at all.
func copyFile(ctx context.Context, src, dst, name string, progress func(string, int64, int64)) (err error) {
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer in.Close()
	st, err := in.Stat()
	if err != nil {
		return err
	}
	if same, err := os.Stat(dst); err == nil && os.SameFile(st, same) {
		return nil
	}
	tmp, err := os.CreateTemp(filepath.Dir(dst), name+".tmp*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			tmp.Close()
			os.Remove(tmp.Name())
		}
	}()
	for done := int64(0); ; {
		n, err := io.CopyN(tmp, in, 1<<22)
		done += n
		progress(name, done, st.Size())
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if err := tmp.Chmod(0o644); err != nil {
		return err
	}
	if err := tmp.Sync(); err != nil {
		return err
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), dst)
}
