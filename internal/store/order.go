package store

import (
	"bytes"
	"cmp"
	"database/sql"
	"errors"
	"fanfare/internal/webhook"
	"hash/fnv"
	"slices"
)

// orderKey names deliveries to an endpoint that are made one after the other.
type orderKey struct {
	endpoint webhook.ID
	key      string
}

func (k orderKey) compare(other orderKey) int {
	return cmp.Or(bytes.Compare(k.endpoint[:], other.endpoint[:]), cmp.Compare(k.key, other.key))
}

// lockOrders keeps other nodes from adding to, and from ending, deliveries with
// one of the keys until this transaction has ended: what is added must see what
// is open, and what ends must see what was added. SQLite has one writer. It
// returns the keys of what is ordered, each once and in one order everywhere.
func (t *tx) lockOrders(keys []orderKey) (orders []orderKey, err error) {
	orders = slices.DeleteFunc(slices.Clone(keys), func(k orderKey) bool { return k.key == "" })
	slices.SortFunc(orders, orderKey.compare)
	orders = slices.Compact(orders)
	if t.s.dialect.name == sqliteDialect.name {
		return orders, nil
	}
	for _, k := range orders {
		h := fnv.New64a()
		_, _ = h.Write(k.endpoint[:]) // never fails
		_, _ = h.Write([]byte(k.key))
		var none sql.RawBytes
		rows, err := t.query(`SELECT pg_advisory_xact_lock($1)`, int64(h.Sum64())) //nolint:gosec // any number will do
		if _, err := collect(rows, err, func(row scanner) (struct{}, error) { return struct{}{}, row.Scan(&none) }); err != nil {
			return nil, err
		}
	}
	return orders, nil
}

// block marks those of new deliveries that have to wait for an earlier one with
// their order key.
func (t *tx) block(deliveries []webhook.Delivery) error {
	keys := make([]orderKey, len(deliveries))
	for i := range deliveries {
		keys[i] = orderKey{deliveries[i].Endpoint, deliveries[i].OrderKey}
	}
	orders, err := t.lockOrders(keys)
	if err != nil {
		return err
	}
	open := make(map[orderKey]bool, len(orders))
	for _, k := range orders {
		err := t.row(`SELECT TRUE FROM delivery WHERE endpoint_id = $1 AND order_key = $2 LIMIT 1`, key(k.endpoint), k.key).Scan(new(bool))
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		open[k] = err == nil
	}
	for i, k := range keys {
		if k.key != "" {
			deliveries[i].Blocked = open[k]
			open[k] = true
		}
	}
	return nil
}

// releaseNext lets the next delivery of each key go once an earlier one has
// ended, however it did.
func (t *tx) releaseNext(ended []orderKey) error {
	orders, err := t.lockOrders(ended)
	if err != nil {
		return err
	}
	for _, k := range orders {
		d := webhook.Delivery{OrderKey: k.key}
		d.Endpoint = k.endpoint
		err := t.row(`
			UPDATE delivery SET lane = 0
			WHERE lane = 4 AND (message_id, endpoint_id, replay) = (
				SELECT message_id, endpoint_id, replay FROM delivery
				WHERE endpoint_id = $1 AND order_key = $2 ORDER BY message_id LIMIT 1)
			RETURNING message_id, due_at`, key(k.endpoint), k.key).Scan(id(&d.Message), intoTime{&d.DueAt})
		switch {
		case errors.Is(err, sql.ErrNoRows):
			continue // there is no other, or an earlier one is still open
		case err != nil:
			return err
		}
		t.wrote = true
		t.waits = append(t.waits, d)
	}
	return nil
}
