package bench

import (
	"context"
	"fmt"
	"time"
)

// world is the producer and the receiver of a part.
type world struct {
	producer, receiver *process
	// url is the receiver's.
	url string
}

func (b *run) world(ctx context.Context) (w *world, err error) {
	w = &world{}
	if w.producer, err = b.start(roleProducer); err != nil {
		return nil, err
	}
	if w.receiver, err = b.start(roleReceiver); err != nil {
		return nil, err
	}
	var address string
	err = w.receiver.ask(ctx, "listen", listenArgs{"127.0.0.1:0", b.secret}, &address)
	w.url = "http://" + address
	return w, err
}

// produce has the producer send a load.
func (w *world) produce(ctx context.Context, l load) (*sent, error) {
	var s sent
	err := w.producer.ask(ctx, "send", l, &s)
	return &s, err
}

// sends is what a side sends: a load, for as long as is asked.
func (w *world) sends(l load) func(context.Context, int64, time.Duration) (*sent, error) {
	return func(ctx context.Context, first int64, length time.Duration) (*sent, error) {
		l.First, l.For = first, length
		return w.produce(ctx, l)
	}
}

// load is what is sent to a node, as fast as it takes it.
func (b *run) load(n *remote, paths ...string) load {
	return load{Address: n.address(), Paths: paths, Token: n.Token, Wrapped: true, Size: b.Size, InFlight: b.InFlight}
}

// byCPU is said of a ratio of costs, beside one of rates.
const byCPU = "the same by processor time, which others on the machine change little"

// single compares one message a request, sent to one endpoint, with the relay.
func single(ctx context.Context, b *run) error {
	bare, own, err := b.pair(ctx, 0)
	if err != nil {
		return err
	}
	if err := b.compare(ctx, bare, own); err != nil {
		return err
	}
	b.report.Ratio = own.rate() / bare.rate()
	b.report.figure(bare.cost().Seconds()/own.cost().Seconds(), "", byCPU)
	return nil
}

// steady looks at delays where there is no lack of anything.
func steady(ctx context.Context, b *run) error {
	bare, own, err := b.pair(ctx, b.Rate)
	if err != nil {
		return err
	}
	return b.compare(ctx, bare, own)
}

// pair is the relay and a node with one endpoint.
func (b *run) pair(ctx context.Context, rate float64) (bare, own *side, err error) {
	w, err := b.world(ctx)
	if err != nil {
		return nil, nil, err
	}
	r, err := b.start(roleRelay)
	if err != nil {
		return nil, nil, err
	}
	l := load{Paths: []string{"/"}, Size: b.Size, InFlight: b.InFlight, Rate: rate}
	if err := r.ask(ctx, "listen", relayArgs{To: w.url + "/relay", Secret: b.secret, InFlight: b.InFlight}, &l.Address); err != nil {
		return nil, nil, err
	}
	bare = &side{name: "relay", groups: []string{"relay"}, at: []*process{w.producer, r, w.receiver}, send: w.sends(l)}
	n, err := b.openNode(ctx)
	if err != nil {
		return nil, nil, err
	}
	messages, err := n.application(ctx, "one endpoint", b.secret, w.url+"/fanfare")
	if err != nil {
		return nil, nil, err
	}
	l = b.load(n, messages)
	l.Rate = rate
	own = &side{name: "fanfare", groups: []string{"fanfare"}, at: []*process{w.producer, n.process, w.receiver}, send: w.sends(l)}
	return bare, own, nil
}

// fanOut compares messages that go to many endpoints with a loop that does
// nothing but sign and send.
func fanOut(ctx context.Context, b *run) error {
	w, err := b.world(ctx)
	if err != nil {
		return err
	}
	r, err := b.start(roleRelay)
	if err != nil {
		return err
	}
	n, err := b.openNode(ctx)
	if err != nil {
		return err
	}
	for _, width := range b.FanOut {
		args := loopArgs{Secret: b.secret, InFlight: b.InFlight, Size: b.Size}
		var urls, groups []string
		for i := range width {
			args.To = append(args.To, fmt.Sprintf("%s/loop/%d", w.url, i))
			group := fmt.Sprintf("of-%d-%d", width, i)
			groups, urls = append(groups, group), append(urls, w.url+"/"+group)
		}
		loop := &side{
			name: fmt.Sprintf("loop-%d", width), groups: []string{"loop"}, at: []*process{r, w.receiver},
			send: func(ctx context.Context, first int64, length time.Duration) (*sent, error) {
				args.First, args.For = first, length
				var s sent
				err := r.ask(ctx, "loop", args, &s)
				return &s, err
			},
		}
		messages, err := n.application(ctx, fmt.Sprintf("%d endpoints", width), b.secret, urls...)
		if err != nil {
			return err
		}
		own := &side{
			name: fmt.Sprintf("fanfare-%d", width), groups: groups, at: []*process{w.producer, n.process, w.receiver},
			send: w.sends(b.load(n, messages)),
		}
		if err := b.compare(ctx, loop, own); err != nil {
			return err
		}
		b.report.figure(own.rate()/loop.rate(), "", "ratio of 1 to %d to the loop", width)
		b.report.figure(loop.cost().Seconds()/own.cost().Seconds(), "", byCPU)
	}
	return nil
}

// batch sends many messages with each request.
func batch(ctx context.Context, b *run) error {
	w, err := b.world(ctx)
	if err != nil {
		return err
	}
	n, err := b.openNode(ctx)
	if err != nil {
		return err
	}
	messages, err := n.application(ctx, "batches", b.secret, w.url+"/batch")
	if err != nil {
		return err
	}
	l := b.load(n, messages+batchPath)
	l.Batch, l.InFlight = b.Batch, min(b.InFlight, 4)
	own := &side{name: fmt.Sprintf("batch-%d", b.Batch), groups: []string{"batch"}, at: []*process{w.producer, n.process, w.receiver}, send: w.sends(l)}
	return b.compare(ctx, own)
}

// batchPath follows the path of messages. The answer leaves out what was sent.
const batchPath = "/batch?with_content=false"
