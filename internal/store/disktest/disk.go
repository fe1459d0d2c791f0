package disktest

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
)

// Disk is a disk in memory. Its files live below a directory of the host, in
// which it keeps nothing.
type Disk struct {
	dir string

	mu    sync.Mutex
	files map[string]*file
	// ops counts what has been written and synced so far.
	ops int
	// room is how many bytes all files may come to; none if negative.
	room int64
	// dead makes everything fail: whoever used the disk has been killed.
	dead bool
	// fuse is how many operations are left before the disk stops by itself;
	// none if negative.
	fuse int
	loss Loss
	dice *rand.Rand
	// image is what was left when the disk stopped.
	image   *Image
	stopped chan struct{}
}

// file is a file on a disk.
type file struct {
	disk *Disk
	name string
	// data is what programs see, synced what a loss of power leaves for sure,
	// and pending what was done since.
	data, synced []byte
	pending      []change
	locks        locks
	memory       *shared
}

// change is a write, or a cut to a length.
type change struct {
	offset int64
	data   []byte
	cut    bool
}

func (c *change) apply(to []byte) []byte {
	if c.cut {
		return resize(to, c.offset)
	}
	if end := c.offset + int64(len(c.data)); end > int64(len(to)) {
		to = resize(to, end)
	}
	copy(to[c.offset:], c.data)
	return to
}

func resize(b []byte, size int64) []byte {
	if size <= int64(len(b)) {
		return b[:size]
	}
	if size <= int64(cap(b)) {
		old := len(b)
		b = b[:size]
		clear(b[old:])
		return b
	}
	bigger := make([]byte, size, size+size/2)
	copy(bigger, b)
	return bigger
}

// Loss is what is lost when a disk stops.
type Loss int

// The losses.
const (
	// Killed loses nothing but a part of the write that was being made.
	Killed Loss = iota
	// PowerCut loses what was not synced, in part or whole.
	PowerCut
)

// Image is what a disk held when it stopped.
type Image struct{ files map[string][]byte }

// New makes an empty disk of unlimited size. The directory exists and is of
// this disk alone.
func New(dir string) *Disk { return (&Image{}).Disk(dir) }

// Disk makes a disk that holds the image.
func (i *Image) Disk(dir string) *Disk {
	register()
	d := &Disk{dir: dir, files: map[string]*file{}, room: -1, fuse: -1, stopped: make(chan struct{})}
	for name, data := range i.files {
		d.files[name] = &file{disk: d, name: name, data: append([]byte(nil), data...), synced: append([]byte(nil), data...)}
	}
	disks.Store(dir, d)
	return d
}

// Load reads an image from the files of a directory of the host.
func Load(dir string) (*Image, error) {
	i := &Image{files: map[string][]byte{}}
	for _, name := range []string{database, database + "-wal"} {
		data, err := os.ReadFile(filepath.Join(dir, name)) //nolint:gosec // the test's own directory
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		i.files[name] = data
	}
	return i, nil
}

// Save writes the image to a directory of the host.
func (i *Image) Save(dir string) error {
	for _, name := range []string{database, database + "-wal"} {
		path := filepath.Join(dir, name)
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if data, ok := i.files[name]; ok {
			if err := os.WriteFile(path, data, 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}

// database is the name of the one database on a disk.
const database = "fanfare.db"

// disks are the disks in use, by directory.
var disks sync.Map

// find returns the disk that keeps a file, and the file's name on it.
func find(path string) (*Disk, string) {
	dir, name := filepath.Split(path)
	d, ok := disks.Load(filepath.Clean(dir))
	if !ok {
		return nil, ""
	}
	return d.(*Disk), name //nolint:forcetypeassert,errcheck // only disks are in it
}

// URL names a database on the disk for store.Open.
func (d *Disk) URL() string { return "sqlite:" + filepath.Join(d.dir, database) }

// Remove forgets the disk. Nobody may use it any more.
func (d *Disk) Remove() { disks.CompareAndDelete(d.dir, d) }

// Used is how many bytes the files come to.
func (d *Disk) Used() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.used()
}

func (d *Disk) used() (sum int64) {
	for _, f := range d.files {
		sum += int64(len(f.data))
	}
	return sum
}

// Ops is how many writes, cuts and syncs have been made.
func (d *Disk) Ops() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ops
}

// SetRoom bounds how many bytes all files may come to from now on. Files that
// are larger already stay. A negative number lifts the bound.
func (d *Disk) SetRoom(bytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.room = bytes
}

// Full bounds the disk to what it holds now.
func (d *Disk) Full() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.room = d.used()
}

// Stop stops the disk now: what was lost is lost, and what is done from now on
// fails. It returns what is left; once stopped, a disk stays so.
func (d *Disk) Stop(loss Loss, dice *rand.Rand) *Image {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stop(loss, dice, nil, nil)
	return d.image
}

// StopAfter stops the disk by itself before the given number of further writes
// and syncs is exceeded. Stopped tells when.
func (d *Disk) StopAfter(ops int, loss Loss, dice *rand.Rand) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fuse, d.loss, d.dice = ops, loss, dice
}

// Stopped is closed when the disk has stopped.
func (d *Disk) Stopped() <-chan struct{} { return d.stopped }

// Image is what was left on a disk that has stopped, or nil.
func (d *Disk) Image() *Image {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.image
}

// Copy is what the disk holds now, as a program that goes on sees it.
func (d *Disk) Copy() *Image {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := &Image{files: map[string][]byte{}}
	for name, f := range d.files {
		i.files[name] = append([]byte(nil), f.data...)
	}
	return i
}

// stop takes the image; while f is being changed by c, of which a part may
// make it.
func (d *Disk) stop(loss Loss, dice *rand.Rand, f *file, c *change) {
	if d.dead {
		return
	}
	d.dead = true
	if f != nil && c != nil {
		f.pending = append(f.pending, *c)
	}
	d.image = &Image{files: map[string][]byte{}}
	for _, name := range slices.Sorted(maps.Keys(d.files)) {
		g := d.files[name]
		if loss == PowerCut {
			d.image.files[name] = g.afterPowerCut(dice)
			continue
		}
		data := append([]byte(nil), g.data...)
		if g == f && c != nil {
			data = torn(*c, dice).apply(data)
		}
		d.image.files[name] = data
	}
	close(d.stopped)
}

func (f *file) afterPowerCut(dice *rand.Rand) []byte {
	data := append([]byte(nil), f.synced...)
	for i := range f.pending {
		switch c := f.pending[i]; dice.IntN(3) {
		case 0: // lost
		case 1:
			data = c.apply(data)
		default:
			data = torn(c, dice).apply(data)
		}
	}
	return data
}

// sector is what a disk writes whole or not at all.
const sector = 512

// torn is the first sectors of a write, perhaps none and perhaps all.
func torn(c change, dice *rand.Rand) *change {
	if c.cut {
		return &c
	}
	keep := dice.IntN(len(c.data)/sector+2) * sector
	c.data = c.data[:min(keep, len(c.data))]
	return &c
}

// fault is why an operation is refused.
type fault int

const (
	fine fault = iota
	dead
	full
	absent
)

// begin counts an operation and tells whether it may go on.
func (d *Disk) begin(f *file, c *change) fault {
	if d.dead {
		return dead
	}
	if d.fuse == 0 {
		d.stop(d.loss, d.dice, f, c)
		return dead
	}
	d.fuse = max(d.fuse-1, -1)
	d.ops++
	return fine
}

func (f *file) write(offset int64, data []byte) fault {
	d := f.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	c := change{offset: offset, data: append([]byte(nil), data...)}
	if fault := d.begin(f, &c); fault != fine {
		return fault
	}
	if growth := offset + int64(len(data)) - int64(len(f.data)); d.room >= 0 && growth > 0 && d.used()+growth > d.room {
		return full
	}
	f.data = c.apply(f.data)
	f.pending = append(f.pending, c)
	return fine
}

func (f *file) truncate(size int64) fault {
	d := f.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	c := change{offset: size, cut: true}
	if fault := d.begin(f, &c); fault != fine {
		return fault
	}
	f.data = c.apply(f.data)
	f.pending = append(f.pending, c)
	return fine
}

func (f *file) sync() fault {
	d := f.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	if fault := d.begin(f, nil); fault != fine {
		return fault
	}
	for i := range f.pending {
		f.synced = f.pending[i].apply(f.synced)
	}
	f.pending = f.pending[:0]
	return fine
}

// read fills b and tells how much of it the file holds.
func (f *file) read(offset int64, b []byte) (n int, _ fault) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.disk.dead {
		return 0, dead
	}
	if offset < int64(len(f.data)) {
		n = copy(b, f.data[offset:])
	}
	clear(b[n:])
	return n, fine
}

func (f *file) size() int64 {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return int64(len(f.data))
}

// open finds a file, or makes it.
func (d *Disk) open(name string, create bool) (*file, fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead {
		return nil, dead
	}
	f := d.files[name]
	if f == nil {
		if !create {
			return nil, absent
		}
		f = &file{disk: d, name: name}
		d.files[name] = f
	}
	return f, fine
}

func (d *Disk) remove(name string) fault {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead {
		return dead
	}
	if d.files[name] == nil {
		return absent
	}
	delete(d.files, name)
	return fine
}

func (d *Disk) exists(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.files[name] != nil
}

// Temp makes an empty disk that lasts as long as the test.
func Temp(t testing.TB) *Disk {
	t.Helper()
	return (&Image{}).Temp(t)
}

// Temp makes a disk that holds the image and lasts as long as the test.
func (i *Image) Temp(t testing.TB) *Disk {
	t.Helper()
	d := i.Disk(t.TempDir())
	t.Cleanup(d.Remove)
	return d
}

// String names the disk in messages.
func (d *Disk) String() string { return fmt.Sprintf("disk in %s", d.dir) }
