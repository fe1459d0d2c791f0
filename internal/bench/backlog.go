package bench

import (
	"context"
	"time"
)

// backlog lets deliveries pile up for an endpoint that is dead, looks at what
// they cost while they wait, and at how they go once it is back.
func backlog(ctx context.Context, b *run) error {
	w, err := b.world(ctx)
	if err != nil {
		return err
	}
	if err := w.receiver.ask(ctx, "close", nil, nil); err != nil {
		return err
	}
	n, err := b.openNode(ctx)
	if err != nil {
		return err
	}
	messages, err := n.application(ctx, "backlog", b.secret, w.url+"/backlog")
	if err != nil {
		return err
	}
	b.report.progress("%d deliveries begin to wait", b.Backlog)
	l := b.load(n, messages+batchPath)
	l.Batch, l.InFlight, l.First, l.Count = b.Batch, min(b.InFlight, 4), b.next, int64(b.Backlog)
	sent, err := w.produce(ctx, l)
	if err != nil {
		return err
	}
	b.next += sent.Accepted
	used, err := n.usage(ctx)
	if err != nil {
		return err
	}
	b.report.figure(float64(sent.Accepted), "", "deliveries that wait for a dead endpoint")
	b.report.figure(float64(sent.Accepted)/sent.Ended.Sub(sent.Began).Seconds(), "/s", "accepted meanwhile, %d in each request", b.Batch)
	b.report.figure(float64(used.Peak)/(1<<20), "MiB", "peak memory of the node until then")

	began := time.Now()
	n.stop()
	b.report.figure(time.Since(began).Seconds(), "s", "time to stop")

	// The node is started once more, so that the endpoint need not come out of
	// the rest that its failures have earned it.
	if err := w.receiver.ask(ctx, "listen", listenArgs{w.url[len("http://"):], b.secret}, nil); err != nil {
		return err
	}
	began = time.Now()
	if n, err = b.reopen(ctx, n.cfg); err != nil {
		return err
	}
	if err := n.get(ctx, "/readyz"); err != nil {
		return err
	}
	b.report.figure(time.Since(began).Seconds(), "s", "time to start, until it is ready")
	b.report.progress("they are sent")
	// Those few that were tried before come when the schedule says.
	var counts map[string]received
	want := sent.Accepted - sent.Accepted/100
	if err := w.receiver.ask(ctx, "await", awaitArgs{[]string{"backlog"}, want, patience}, &counts); err != nil {
		return err
	}
	if used, err = n.usage(ctx); err != nil {
		return err
	}
	c := counts["backlog"]
	if c.Events < want {
		return c.verify("backlog", want)
	}
	b.report.figure(float64(c.Events)/c.Last.Sub(c.First).Seconds(), "/s", "deliveries once the endpoint is back")
	b.report.figure(float64(used.Peak)/(1<<20), "MiB", "peak memory of the node meanwhile")
	b.report.figure(float64(c.Again), "", "duplicates")
	return nil
}
