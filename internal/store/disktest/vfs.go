package disktest

import (
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// handle is a file as one connection has it open: what SQLite calls
// sqlite3_file. SQLite allocates it.
type handle struct {
	base sqlite3.Tsqlite3_file
	id   uintptr // in opened
}

// opened is what the handles of SQLite stand for, by their ids.
var (
	opened sync.Map
	lastID atomic.Uintptr
)

// connection is a file as one connection has it open.
type connection struct {
	*file
	level        int32 // of its lock
	shared, own  uint16
	attached     bool // to the shared memory
	removeAtExit bool
}

// at reads memory of SQLite, which is none of Go's.
func at[T any](p uintptr) *T {
	return *(**T)(unsafe.Pointer(&p)) //nolint:gosec // SQLite hands out addresses as numbers
}

func bytesAt(p uintptr, n int) []byte { return unsafe.Slice(at[byte](p), n) } //nolint:gosec // as at

func of(file uintptr) *connection {
	c, _ := opened.Load(at[handle](file).id)
	return c.(*connection) //nolint:forcetypeassert,errcheck // only connections are in it
}

// pointer is a function as SQLite calls it.
func pointer[F any](f F) uintptr {
	return *(*uintptr)(unsafe.Pointer(&struct{ f F }{f})) //nolint:gosec // as the translated SQLite does
}

// address is where a variable of a package is; it stays there.
func address[T any](v *T) uintptr { return uintptr(unsafe.Pointer(v)) } //nolint:gosec // as SQLite wants it

var methods = sqlite3.Tsqlite3_io_methods{
	FiVersion: 2,
	FxClose:   pointer(xClose), FxRead: pointer(xRead), FxWrite: pointer(xWrite), FxTruncate: pointer(xTruncate),
	FxSync: pointer(xSync), FxFileSize: pointer(xFileSize), FxLock: pointer(xLock), FxUnlock: pointer(xUnlock),
	FxCheckReservedLock: pointer(xCheckReservedLock), FxFileControl: pointer(xFileControl),
	FxSectorSize: pointer(xSectorSize), FxDeviceCharacteristics: pointer(xDeviceCharacteristics),
	FxShmMap: pointer(xShmMap), FxShmLock: pointer(xShmLock), FxShmBarrier: pointer(xShmBarrier), FxShmUnmap: pointer(xShmUnmap),
}

// host is the VFS that keeps files on the disk of the machine; ours is the one
// that looks at the path first.
var (
	host uintptr
	ours sqlite3.Tsqlite3_vfs
)

// register makes ours the VFS of every connection that this process opens from
// now on.
var register = sync.OnceFunc(func() {
	tls := libc.NewTLS()
	host = sqlite3.Xsqlite3_vfs_find(tls, 0)
	ours = *at[sqlite3.Tsqlite3_vfs](host)
	name, err := libc.CString("fanfare-disktest")
	if err != nil {
		panic(err)
	}
	ours.FpNext, ours.FzName = 0, name
	ours.FszOsFile = max(ours.FszOsFile, int32(unsafe.Sizeof(handle{})))
	ours.FxOpen, ours.FxDelete, ours.FxAccess = pointer(xOpen), pointer(xDelete), pointer(xAccess)
	ours.FxFullPathname = pointer(xFullPathname)
	ours.FxSleep, ours.FxCurrentTimeInt64 = pointer(xSleep), pointer(xCurrentTimeInt64)
	if rc := sqlite3.Xsqlite3_vfs_register(tls, address(&ours), 1); rc != sqlite3.SQLITE_OK {
		panic("SQLite does not take the VFS")
	}
})

// hostDoes calls a function of the host's VFS.
func hostDoes[F any](p uintptr) F { return *(*F)(unsafe.Pointer(&p)) } //nolint:gosec // the inverse of pointer

// code is what SQLite is told: doing is the code of the operation that failed.
func code(f fault, doing int32) int32 {
	switch f {
	case fine:
		return sqlite3.SQLITE_OK
	case full:
		return sqlite3.SQLITE_FULL
	case dead, absent:
		return doing
	default:
		return doing
	}
}

func xOpen(tls *libc.TLS, _, name, file uintptr, flags int32, outFlags uintptr) int32 {
	var d *Disk
	var short string
	if name != 0 {
		d, short = find(libc.GoString(name))
	}
	if d == nil {
		open := hostDoes[func(*libc.TLS, uintptr, uintptr, uintptr, int32, uintptr) int32](at[sqlite3.Tsqlite3_vfs](host).FxOpen)
		return open(tls, host, name, file, flags, outFlags)
	}
	*at[handle](file) = handle{}
	f, fault := d.open(short, flags&sqlite3.SQLITE_OPEN_CREATE != 0)
	if fault != fine {
		return sqlite3.SQLITE_CANTOPEN
	}
	id := lastID.Add(1)
	opened.Store(id, &connection{file: f, removeAtExit: flags&sqlite3.SQLITE_OPEN_DELETEONCLOSE != 0})
	*at[handle](file) = handle{base: sqlite3.Tsqlite3_file{FpMethods: address(&methods)}, id: id}
	if outFlags != 0 {
		*at[int32](outFlags) = flags
	}
	return sqlite3.SQLITE_OK
}

func xDelete(tls *libc.TLS, _, name uintptr, syncDir int32) int32 {
	d, short := find(libc.GoString(name))
	if d == nil {
		remove := hostDoes[func(*libc.TLS, uintptr, uintptr, int32) int32](at[sqlite3.Tsqlite3_vfs](host).FxDelete)
		return remove(tls, host, name, syncDir)
	}
	if fault := d.remove(short); fault == absent {
		return sqlite3.SQLITE_IOERR_DELETE_NOENT
	} else if fault != fine {
		return sqlite3.SQLITE_IOERR_DELETE
	}
	return sqlite3.SQLITE_OK
}

func xAccess(tls *libc.TLS, _, name uintptr, flags int32, out uintptr) int32 {
	d, short := find(libc.GoString(name))
	if d == nil {
		access := hostDoes[func(*libc.TLS, uintptr, uintptr, int32, uintptr) int32](at[sqlite3.Tsqlite3_vfs](host).FxAccess)
		return access(tls, host, name, flags, out)
	}
	*at[int32](out) = 0
	if d.exists(short) {
		*at[int32](out) = 1
	}
	return sqlite3.SQLITE_OK
}

// xFullPathname leaves the paths of our disks alone: the host would look for
// them.
func xFullPathname(tls *libc.TLS, _, name uintptr, size int32, out uintptr) int32 {
	path := libc.GoString(name)
	if d, _ := find(path); d == nil {
		full := hostDoes[func(*libc.TLS, uintptr, uintptr, int32, uintptr) int32](at[sqlite3.Tsqlite3_vfs](host).FxFullPathname)
		return full(tls, host, name, size, out)
	}
	if len(path)+1 > int(size) {
		return sqlite3.SQLITE_CANTOPEN
	}
	b := bytesAt(out, len(path)+1)
	copy(b, path)
	b[len(path)] = 0
	return sqlite3.SQLITE_OK
}

// xSleep and xCurrentTimeInt64 go by the clock of Go, which tests may replace.
func xSleep(_ *libc.TLS, _ uintptr, micros int32) int32 {
	<-time.After(time.Duration(micros) * time.Microsecond)
	return micros
}

// julian is 1970 as SQLite counts: milliseconds since noon of 24 November 4714 BC.
const julian = 210866760000000

func xCurrentTimeInt64(_ *libc.TLS, _, out uintptr) int32 {
	*at[int64](out) = julian + time.Now().UnixMilli()
	return sqlite3.SQLITE_OK
}

func xClose(_ *libc.TLS, file uintptr) int32 {
	c := of(file)
	opened.Delete(at[handle](file).id)
	c.locks.set(c, sqlite3.SQLITE_LOCK_NONE)
	if c.removeAtExit {
		_ = c.disk.remove(c.name) // it may be gone
	}
	return sqlite3.SQLITE_OK
}

func xRead(_ *libc.TLS, file, buffer uintptr, n int32, offset int64) int32 {
	read, fault := of(file).read(offset, bytesAt(buffer, int(n)))
	switch {
	case fault != fine:
		return sqlite3.SQLITE_IOERR_READ
	case read < int(n):
		return sqlite3.SQLITE_IOERR_SHORT_READ
	default:
		return sqlite3.SQLITE_OK
	}
}

func xWrite(_ *libc.TLS, file, buffer uintptr, n int32, offset int64) int32 {
	return code(of(file).write(offset, bytesAt(buffer, int(n))), sqlite3.SQLITE_IOERR_WRITE)
}

func xTruncate(_ *libc.TLS, file uintptr, size int64) int32 {
	return code(of(file).truncate(size), sqlite3.SQLITE_IOERR_TRUNCATE)
}

func xSync(_ *libc.TLS, file uintptr, _ int32) int32 {
	return code(of(file).sync(), sqlite3.SQLITE_IOERR_FSYNC)
}

func xFileSize(_ *libc.TLS, file, out uintptr) int32 {
	*at[int64](out) = of(file).size()
	return sqlite3.SQLITE_OK
}

func xFileControl(_ *libc.TLS, _ uintptr, _ int32, _ uintptr) int32 { return sqlite3.SQLITE_NOTFOUND }

func xSectorSize(_ *libc.TLS, _ uintptr) int32 { return sector }

// xDeviceCharacteristics says what SQLite takes for granted on Linux: what lies
// beside a write is not harmed by a loss of power.
func xDeviceCharacteristics(_ *libc.TLS, _ uintptr) int32 {
	return sqlite3.SQLITE_IOCAP_POWERSAFE_OVERWRITE
}
