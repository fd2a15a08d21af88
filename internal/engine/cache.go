package engine

import "sync"

// cache holds up to two generations of values that never change. When the
// young generation is full the old one is dropped: what is used survives, what
// is not goes, and no entry needs a list element of its own.
type cache[K comparable, V any] struct {
	mu         sync.Mutex
	limit      int
	young, old map[K]V
}

func newCache[K comparable, V any](limit int) *cache[K, V] {
	return &cache[K, V]{limit: limit, young: make(map[K]V)}
}

func (c *cache[K, V]) get(k K) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if v, ok := c.young[k]; ok {
		return v, true
	}
	v, ok := c.old[k]
	if ok {
		c.add(k, v)
	}
	return v, ok
}

func (c *cache[K, V]) put(k K, v V) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add(k, v)
}

// claim puts v unless there is a value that still holds; of many at once one
// succeeds.
func (c *cache[K, V]) claim(k K, v V, holds func(V) bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	have, ok := c.young[k]
	if !ok {
		have, ok = c.old[k]
	}
	if ok && holds(have) {
		return false
	}
	c.add(k, v)
	return true
}

func (c *cache[K, V]) add(k K, v V) {
	if len(c.young) >= c.limit {
		c.old, c.young = c.young, make(map[K]V)
	}
	c.young[k] = v
}
