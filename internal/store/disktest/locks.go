package disktest

import (
	"sync"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// locks are the locks on a file, as https://sqlite.org/lockingv3.html has them.
type locks struct {
	mu sync.Mutex
	// held is the level of each connection that holds one.
	held map[*connection]int32
}

// raise gives c a higher level, unless another stands in the way.
func (l *locks) raise(c *connection, to int32) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for other, level := range l.held {
		if other == c {
			continue
		}
		switch {
		case level >= sqlite3.SQLITE_LOCK_PENDING,
			to == sqlite3.SQLITE_LOCK_RESERVED && level >= sqlite3.SQLITE_LOCK_RESERVED,
			to == sqlite3.SQLITE_LOCK_EXCLUSIVE && level > sqlite3.SQLITE_LOCK_NONE:
			return false
		}
	}
	if l.held == nil {
		l.held = map[*connection]int32{}
	}
	l.held[c], c.level = to, to
	return true
}

// set gives c a lower level.
func (l *locks) set(c *connection, to int32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.level = to
	if to == sqlite3.SQLITE_LOCK_NONE {
		delete(l.held, c)
		return
	}
	l.held[c] = to
}

func (l *locks) reserved() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, level := range l.held {
		if level >= sqlite3.SQLITE_LOCK_RESERVED {
			return true
		}
	}
	return false
}

func xLock(_ *libc.TLS, file uintptr, level int32) int32 {
	c := of(file)
	if c.level >= level || c.locks.raise(c, level) {
		return sqlite3.SQLITE_OK
	}
	return sqlite3.SQLITE_BUSY
}

func xUnlock(_ *libc.TLS, file uintptr, level int32) int32 {
	if c := of(file); c.level > level {
		c.locks.set(c, level)
	}
	return sqlite3.SQLITE_OK
}

func xCheckReservedLock(_ *libc.TLS, file, out uintptr) int32 {
	*at[int32](out) = 0
	if of(file).locks.reserved() {
		*at[int32](out) = 1
	}
	return sqlite3.SQLITE_OK
}

// shared is the memory that the connections to a file share (the WAL index).
// It is none of Go's: SQLite reads it while others write, and knows what it
// does.
type shared struct {
	mu      sync.Mutex
	regions []uintptr
	users   int
	// readers and writer are the connections that hold each lock.
	readers [sqlite3.SQLITE_SHM_NLOCK]int
	writer  [sqlite3.SQLITE_SHM_NLOCK]bool
}

// attach returns the shared memory of the file of c, which c uses from now on.
func (c *connection) attach() *shared {
	c.disk.mu.Lock()
	defer c.disk.mu.Unlock()
	if c.memory == nil {
		c.memory = &shared{}
	}
	if !c.attached {
		c.attached = true
		c.memory.users++
	}
	return c.memory
}

func xShmMap(tls *libc.TLS, file uintptr, region, size, extend int32, out uintptr) int32 {
	s := of(file).attach()
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.regions) <= int(region) {
		if extend == 0 {
			*at[uintptr](out) = 0
			return sqlite3.SQLITE_OK
		}
		p := libc.Xcalloc(tls, 1, libc.Tsize_t(size)) //nolint:gosec // a size
		if p == 0 {
			return sqlite3.SQLITE_NOMEM
		}
		s.regions = append(s.regions, p)
	}
	*at[uintptr](out) = s.regions[region]
	return sqlite3.SQLITE_OK
}

func xShmLock(_ *libc.TLS, file uintptr, offset, n, flags int32) int32 {
	c := of(file)
	s := c.attach()
	s.mu.Lock()
	defer s.mu.Unlock()
	mask := uint16(1)<<(offset+n) - uint16(1)<<offset
	exclusive := flags&sqlite3.SQLITE_SHM_EXCLUSIVE != 0
	if flags&sqlite3.SQLITE_SHM_UNLOCK != 0 {
		s.unlock(c, mask)
		return sqlite3.SQLITE_OK
	}
	for i := offset; i < offset+n; i++ {
		if s.writer[i] && c.own&(1<<i) == 0 || exclusive && s.readers[i] > 0 {
			return sqlite3.SQLITE_BUSY
		}
	}
	for i := offset; i < offset+n; i++ {
		if exclusive {
			s.writer[i] = true
			c.own |= 1 << i
		} else if c.shared&(1<<i) == 0 {
			s.readers[i]++
			c.shared |= 1 << i
		}
	}
	return sqlite3.SQLITE_OK
}

func (s *shared) unlock(c *connection, mask uint16) {
	for i := range s.readers {
		bit := uint16(1) << i
		if c.shared&mask&bit != 0 {
			s.readers[i]--
		}
		if c.own&mask&bit != 0 {
			s.writer[i] = false
		}
	}
	c.shared &^= mask
	c.own &^= mask
}

func xShmBarrier(_ *libc.TLS, file uintptr) {
	s := of(file).attach()
	s.mu.Lock()
	defer s.mu.Unlock() // a lock is a barrier
}

func xShmUnmap(tls *libc.TLS, file uintptr, _ int32) int32 {
	c := of(file)
	if !c.attached {
		return sqlite3.SQLITE_OK
	}
	s := c.attach()
	s.mu.Lock()
	s.unlock(c, ^uint16(0))
	s.mu.Unlock()
	c.disk.mu.Lock()
	defer c.disk.mu.Unlock()
	c.attached = false
	if s.users--; s.users == 0 {
		for _, p := range s.regions {
			libc.Xfree(tls, p)
		}
		c.memory = nil
	}
	return sqlite3.SQLITE_OK
}
