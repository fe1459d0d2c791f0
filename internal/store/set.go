package store

import (
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// set is how rows are inserted into a table: on SQLite through prepared
// statements, one by one or eight at once where they are as most are, on PostgreSQL all at once, so that
// a batch costs one round trip. A row that meets one that is there is left out.
type set struct {
	one, all string
	kinds    []string
	// few is one for a row that is as most are: in the columns mostly it has the
	// values usual, and only the columns rest are handed over, each of which
	// costs about as much as storing it.
	few string
	// many is few for so many rows, none of which may meet one that is there.
	many         string
	mostly, rest []int
	usual        []any
}

// newSet makes the statements for a table. Each column is its name and type,
// or "name = expression" when every row has the same. A type may be followed by
// the value that most rows have: a number, NULL or the empty text, as in "mostly 1".
func newSet(table string, columns ...string) *set {
	var s set
	var names, places, fewer, arrays, same []string
	for _, c := range columns {
		if name, expression, ok := strings.Cut(c, " = "); ok {
			names, same = append(names, name), append(same, expression)
			continue
		}
		name, kind, _ := strings.Cut(c, " ")
		kind, literal, mostly := strings.Cut(kind, " mostly ")
		// Without a number: SQLite would look up each place by its name, each time.
		place := "?"
		if mostly {
			s.mostly, s.usual, place = append(s.mostly, len(s.kinds)), append(s.usual, valueOf(literal)), literal
		} else {
			s.rest = append(s.rest, len(s.kinds))
		}
		s.kinds = append(s.kinds, kind)
		names, places, fewer = append(names, name), append(places, "?"), append(fewer, place)
		arrays = append(arrays, fmt.Sprintf("CAST($%d AS %s[])", len(s.kinds), kind))
	}
	into := "INSERT INTO " + table + " (" + strings.Join(names, ", ") + ")"
	values := func(places []string) string {
		return into + " VALUES (" + strings.Join(slices.Concat(places, same), ", ") + ") ON CONFLICT DO NOTHING"
	}
	s.one, s.few = values(places), values(fewer)
	row := "(" + strings.Join(slices.Concat(fewer, same), ", ") + ")"
	s.many = into + " VALUES " + strings.Join(slices.Repeat([]string{row}, atOnceRows), ", ")
	s.all = into + " SELECT " + strings.Join(append([]string{"given.*"}, same...), ", ") +
		" FROM unnest(" + strings.Join(arrays, ", ") + ") AS given ON CONFLICT DO NOTHING RETURNING " + names[0]
	return &s
}

// atOnceRows is how many rows one statement stores where there are so many:
// beginning and ending a statement costs as well.
const atOnceRows = 8

// valueOf is the value of one of the literals that newSet takes.
func valueOf(literal string) any {
	switch literal {
	case "NULL":
		return nil
	case "''":
		return ""
	}
	n, err := strconv.ParseInt(literal, 10, 64)
	if err != nil {
		panic(err) // a mistake in this package
	}
	return n
}

// statement is the one for the first of rows, or for several, with what has to be
// handed over, in room.
func (s *set) statement(rows [][]any, room []any) (query string, args []any, n int) {
	for n < min(len(rows), atOnceRows) && s.isUsual(rows[n]) {
		n++
	}
	switch {
	case n == 0:
		return s.one, rows[0], 1
	case n < atOnceRows:
		query, n = s.few, 1
	default:
		query = s.many
	}
	for _, row := range rows[:n] {
		for _, i := range s.rest {
			room = append(room, row[i])
		}
	}
	return query, room, n
}

// isUsual reports whether a row is as most are.
func (s *set) isUsual(row []any) bool {
	for n, i := range s.mostly {
		if row[i] != s.usual[n] {
			return false
		}
	}
	return len(s.mostly) > 0
}

// insert stores rows, whose columns are in the set's order. It reports how many
// were stored and, by their first column, which.
func (t *tx) insert(s *set, rows [][]any) (n int, stored map[string]bool, err error) {
	if len(rows) == 0 {
		return 0, nil, nil
	}
	stored = make(map[string]bool, len(rows))
	if !t.s.dialect.sets {
		room := make([]any, 0, atOnceRows*len(s.kinds))
		for len(rows) > 0 {
			query, args, some := s.statement(rows, room)
			changed, err := t.exec(query, args...)
			if err != nil {
				return 0, nil, err
			}
			if changed > 0 {
				n += some
				for _, row := range rows[:some] {
					stored[first(row)] = true
				}
			}
			rows = rows[some:]
		}
		return n, stored, nil
	}
	args, err := arrays(s.kinds, rows)
	if err != nil {
		return 0, nil, err
	}
	returned, err := t.query(s.all, args...)
	_, err = collect(returned, err, func(row scanner) (struct{}, error) {
		var column sql.RawBytes
		err := row.Scan(&column)
		n++
		stored[string(column)] = true
		return struct{}{}, err
	})
	t.wrote = t.wrote || n > 0
	return n, stored, err
}

// changeRows runs a statement for each row, or the one for all, and reports the
// number of each row for which something was changed.
func (t *tx) changeRows(one, all string, kinds []string, rows [][]any, changed func(n int)) error {
	if len(rows) == 0 {
		return nil
	}
	if !t.s.dialect.sets {
		for n, row := range rows {
			found, err := t.exec(one, row...)
			if err != nil {
				return err
			}
			if found > 0 {
				changed(n)
			}
		}
		return nil
	}
	args, err := arrays(kinds, rows)
	if err != nil {
		return err
	}
	returned, err := t.query(all, args...)
	_, err = collect(returned, err, func(row scanner) (struct{}, error) {
		var n int
		err := row.Scan(&n)
		if err == nil {
			changed(n - 1) // ordinality counts from 1
		}
		return struct{}{}, err
	})
	t.wrote = true
	return err
}

// first is the first column of a row as a key.
func first(row []any) string {
	b, _ := row[0].([]byte)
	return string(b)
}

// arrays turns rows into one array a column.
func arrays(kinds []string, rows [][]any) ([]any, error) {
	all := make([]any, len(kinds))
	for i, kind := range kinds {
		switch kind {
		case "BYTEA":
			column := make([][]byte, len(rows))
			for n, row := range rows {
				column[n], _ = row[i].([]byte)
			}
			all[i] = column
		case "TEXT":
			column := make([]*string, len(rows))
			for n, row := range rows {
				if s, ok := row[i].(string); ok {
					column[n] = &s
				}
			}
			all[i] = column
		case "BIGINT":
			column := make([]int64, len(rows))
			for n, row := range rows {
				column[n], _ = row[i].(int64)
			}
			all[i] = column
		default:
			return nil, fmt.Errorf("a set with a column of type %s", kind)
		}
	}
	return all, nil
}
