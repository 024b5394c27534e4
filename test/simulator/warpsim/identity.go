package warpsim

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"math/big"
	"time"
)

// newUID makes an object identifier: 22 letters and digits.
func newUID() string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	uid := make([]byte, 22)
	for i := range uid {
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(alphabet))))
		if err != nil {
			panic(fmt.Sprintf("warpsim: %v", err))
		}
		uid[i] = alphabet[n.Int64()]
	}
	return string(uid)
}

// newUUID makes a version 4 UUID, the ID of runs, sessions and conversations.
func newUUID() string {
	b := randomBytes()
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func newTraceID() string { return hex.EncodeToString(randomBytes()) }

func randomBytes() []byte {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	return b
}

// tick returns the time of the server's clock in microseconds. It is later at every call, so that a revision is
// never used twice. The caller holds the lock.
func (s *Server) tick() time.Time {
	now := time.Now().UTC().Truncate(time.Microsecond)
	if !now.After(s.lastTick) {
		now = s.lastTick.Add(time.Microsecond)
	}
	s.lastTick = now
	return now
}

// timestamp returns the wire form of an instant.
func timestamp(t time.Time) string { return t.Format("2006-01-02T15:04:05.000000Z07:00") }

// optionalTimestamp returns timestamp, or null for the zero time.
func optionalTimestamp(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return timestamp(t)
}
