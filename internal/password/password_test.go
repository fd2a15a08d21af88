package password

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var small = Params{Memory: 64, Time: 1, Threads: 1}

// The hashes were computed with OpenSSL 3's Argon2id, after it had reproduced
// the test vector of RFC 9106 §5.3. That vector itself has a secret and
// associated data, which golang.org/x/crypto/argon2 does not take.
func TestVectors(t *testing.T) {
	h := New(small, 1)
	for _, tt := range []struct{ name, password, encoded string }{
		{"the default parameters", "correct horse battery staple", "$argon2id$v=19$m=19456,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$gy5SuVm5Z7Vw7keB9se9p87QGcomaseB/S2U1OhTsM0"},
		{"no password and the least memory", "", "$argon2id$v=19$m=8,t=1,p=1$MDEyMzQ1Njc4OWFiY2RlZg$1EDrpniG35PWQ9y4ppsCr2jBbShM1vaGWVU+JFv578A"},
		{"two lanes", "pässwörd 🔑", "$argon2id$v=19$m=64,t=3,p=2$AAECAwQFBgcICQoLDA0ODw$Q5xJHhs0iBFK6sX5AX3YAFwSzNQIgONFxgl5FL9q4uI"},
		{"a short salt and hash, a password that is not text", "\x00\xff not text", "$argon2id$v=19$m=64,t=1,p=4$AAECAwQFBgc$mXGjJCrnC3874nSSM5L1zA"},
	} {
		if ok, err := h.Verify(t.Context(), tt.encoded, tt.password); err != nil || !ok {
			t.Errorf("%s: %v, %v", tt.name, ok, err)
		}
		if ok, err := h.Verify(t.Context(), tt.encoded, tt.password+"x"); err != nil || ok {
			t.Errorf("%s: a wrong password: %v, %v", tt.name, ok, err)
		}
	}
}

func TestHash(t *testing.T) {
	h := New(small, 1)
	longest := strings.Repeat("x", MaxLength)
	for _, password := range []string{"", "a", "\x00", longest} {
		first, err := h.Hash(t.Context(), password)
		if err != nil {
			t.Fatal(err)
		}
		second, err := h.Hash(t.Context(), password)
		if err != nil {
			t.Fatal(err)
		}
		if first == second {
			t.Error("two hashes share a salt")
		}
		if !strings.HasPrefix(first, "$argon2id$v=19$m=64,t=1,p=1$") {
			t.Errorf("encoded as %s", first)
		}
		if ok, err := h.Verify(t.Context(), first, password); err != nil || !ok {
			t.Errorf("%.10q: %v, %v", password, ok, err)
		}
		if ok, err := h.Verify(t.Context(), first, "another"); err != nil || ok {
			t.Errorf("%.10q: a wrong password: %v, %v", password, ok, err)
		}
		if NeedsRehash(first, small) {
			t.Errorf("%s needs a rehash", first)
		}
	}
}

func TestTooLongCostsNothing(t *testing.T) {
	encoded, err := New(small, 1).Hash(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	h := New(small, 1)
	h.derive = func(_, _ []byte, _, _ uint32, _ uint8, _ uint32) []byte {
		t.Error("hashed")
		return nil
	}
	h.slots <- struct{}{} // nor does it wait for a slot
	long := strings.Repeat("x", MaxLength+1)
	if _, err := h.Hash(t.Context(), long); err != ErrTooLong {
		t.Errorf("Hash: %v", err)
	}
	if ok, err := h.Verify(t.Context(), encoded, long); err != ErrTooLong || ok {
		t.Errorf("Verify: %v, %v", ok, err)
	}
	if err := h.VerifyNothing(t.Context(), long); err != ErrTooLong {
		t.Errorf("VerifyNothing: %v", err)
	}
}

// VerifyNothing does the work of Verify: same parameters, same sizes.
func TestVerifyNothing(t *testing.T) {
	type call struct {
		time, memory, salt, size uint32
		threads                  uint8
	}
	var calls []call
	h := New(small, 1)
	derive := h.derive
	h.derive = func(password, salt []byte, time, memory uint32, threads uint8, size uint32) []byte {
		calls = append(calls, call{time, memory, uint32(len(salt)), size, threads})
		return derive(password, salt, time, memory, threads, size)
	}
	encoded, err := h.Hash(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Verify(t.Context(), encoded, "b"); err != nil {
		t.Fatal(err)
	}
	if err := h.VerifyNothing(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	if len(calls) != 3 || calls[1] != calls[2] {
		t.Errorf("calls %+v, want the last two equal", calls)
	}
}

// No more than slots hashes run at once, and each end lets one more begin.
func TestSlotsBoundParallelHashes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const slots, requests = 3, 10
		var running, ended atomic.Int32
		release := make(chan struct{})
		h := New(small, slots)
		h.derive = func(_, _ []byte, _, _ uint32, _ uint8, size uint32) []byte {
			running.Add(1)
			<-release
			running.Add(-1)
			return make([]byte, size)
		}
		for range requests {
			go func() {
				if err := h.VerifyNothing(t.Context(), "a"); err != nil {
					t.Error(err)
				}
				ended.Add(1)
			}()
		}
		for n := range int32(requests) {
			synctest.Wait()
			if r, e := running.Load(), ended.Load(); r != min(slots, requests-n) || e != n {
				t.Errorf("%d run and %d ended, want %d and %d", r, e, min(slots, requests-n), n)
			}
			release <- struct{}{}
		}
		synctest.Wait()
		if r, e := running.Load(), ended.Load(); r != 0 || e != requests {
			t.Errorf("at the end %d run and %d ended", r, e)
		}
	})
}

func TestBusy(t *testing.T) {
	for _, tt := range []struct {
		name string
		ctx  func(context.Context) (context.Context, context.CancelFunc)
		want time.Duration
	}{
		{"two seconds at most", func(ctx context.Context) (context.Context, context.CancelFunc) { return ctx, func() {} }, 2 * time.Second},
		{"a later deadline does not help", func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Minute)
		}, 2 * time.Second},
		{"an earlier deadline holds", func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, 300*time.Millisecond)
		}, 300 * time.Millisecond},
		{"the client has gone", func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			return ctx, cancel
		}, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := New(small, 1)
			h.slots <- struct{}{}
			ctx, cancel := tt.ctx(t.Context())
			defer cancel()
			start := time.Now()
			if _, err := h.Hash(ctx, "a"); !errors.Is(err, ErrBusy) {
				t.Errorf("%s: %v", tt.name, err)
			}
			if waited := time.Since(start); waited != tt.want {
				t.Errorf("%s: waited %v, want %v", tt.name, waited, tt.want)
			}
			<-h.slots // the slot is whole: the next one gets it
			if _, err := h.Hash(t.Context(), "a"); err != nil {
				t.Errorf("%s: afterwards: %v", tt.name, err)
			}
		})
	}
	// A request that is over gets no slot, even a free one.
	h := New(small, 1)
	h.derive = func(_, _ []byte, _, _ uint32, _ uint8, _ uint32) []byte {
		t.Error("hashed for nobody")
		return nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 {
		if err := h.VerifyNothing(ctx, "a"); !errors.Is(err, ErrBusy) || !errors.Is(err, context.Canceled) {
			t.Errorf("a cancelled request: %v", err)
		}
	}
}

func TestParamsCheck(t *testing.T) {
	for _, p := range []Params{Default(), small, {Memory: 8, Time: 1, Threads: 1}, {Memory: 131072, Time: 16, Threads: 16}} {
		if err := p.Check(); err != nil {
			t.Errorf("%+v: %v", p, err)
		}
	}
	for _, tt := range []struct {
		p    Params
		want []string
	}{
		{Params{}, []string{"time", "threads"}},
		{Params{Memory: 7, Time: 1, Threads: 1}, []string{"memory"}}, // RFC 9106 §3.1
		{Params{Memory: 31, Time: 1, Threads: 4}, []string{"memory"}},
		{Params{Memory: 131073, Time: 17, Threads: 17}, []string{"memory", "time", "threads"}},
	} {
		err := tt.p.Check()
		for _, want := range tt.want {
			if err == nil || !strings.Contains(err.Error(), want+":") {
				t.Errorf("%+v: %v, want one about %s", tt.p, err, want)
			}
		}
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%+v: New did not panic", tt.p)
				}
			}()
			New(tt.p, 1)
		}()
	}
}

func BenchmarkHash(b *testing.B) {
	h := New(Default(), 1)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.Hash(b.Context(), "correct horse battery staple"); err != nil {
			b.Fatal(err)
		}
	}
}
