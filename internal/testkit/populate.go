package testkit

import (
	"context"

	"github.com/tallystick/tallystick/internal/server"
)

// Populate fills an empty server, on whatever database, with the world's clients and
// people.
func Populate(ctx context.Context, s *server.Server, clock *Clock) error {
	w := &World{Server: s, Clock: clock}
	return w.populate(ctx, cheapHasher())
}
