package web

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// Router finds the handler of a request by method and raw path. Unlike
// http.ServeMux it never redirects, takes a path with and without a final
// slash, cleans nothing away, and has no 405 of its own: what it does not know is
// for its NotFound, which may ask for the Methods that a path has. Clients of
// both APIs rely on all four.
type Router struct {
	// NotFound answers what no route matches.
	NotFound http.Handler
	root     node
}

type node struct {
	literal  map[string]*node
	param    *node
	name     string // of the segment that led to a param node
	handlers map[string]http.Handler
}

// Handle adds a route such as "GET /datasets/{owner}/{name}". A segment in
// braces matches any one segment that is not empty; the handler finds it,
// decoded, with r.PathValue. Literal segments are preferred.
func (rt *Router) Handle(route string, h http.Handler) {
	method, path, _ := strings.Cut(route, " ")
	n := &rt.root
	for _, segment := range segments(path) {
		n = n.child(segment)
	}
	if n.handlers == nil {
		n.handlers = map[string]http.Handler{}
	}
	if n.handlers[method] != nil {
		panic("web: two handlers for " + route)
	}
	n.handlers[method] = h
}

func (n *node) child(segment string) *node {
	if name, ok := strings.CutPrefix(segment, "{"); ok {
		name = strings.TrimSuffix(name, "}")
		if n.param == nil {
			n.param = &node{name: name}
		}
		if n.param.name != name {
			panic("web: a segment named both " + n.param.name + " and " + name)
		}
		return n.param
	}
	if n.literal == nil {
		n.literal = map[string]*node{}
	}
	if n.literal[segment] == nil {
		n.literal[segment] = &node{}
	}
	return n.literal[segment]
}

// segments splits a path; one final slash counts for nothing.
func segments(path string) []string {
	path = strings.TrimSuffix(strings.TrimPrefix(path, "/"), "/")
	if path == "" {
		return nil
	}
	return strings.Split(path, "/")
}

// ServeHTTP implements http.Handler.
func (rt *Router) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if path, ok := decoded(r); ok {
		if h := rt.root.find(path, r); h != nil {
			h.ServeHTTP(w, r)
			return
		}
	}
	rt.NotFound.ServeHTTP(w, r)
}

// decoded is the path of a request, segment by segment. It reports false where
// one is empty, or holds what no name does: no database takes it.
func decoded(r *http.Request) ([]string, bool) {
	path := segments(r.URL.EscapedPath())
	for i, segment := range path {
		var err error
		if path[i], err = url.PathUnescape(segment); err != nil || path[i] == "" || !Storable(path[i]) {
			return nil, false
		}
	}
	return path, true
}

// Storable reports whether a text is one that both databases hold: UTF-8, and
// without the character NUL.
func Storable(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

// find walks the tree, literal segments first, and notes params on the way
// back from a match.
func (n *node) find(path []string, r *http.Request) http.Handler {
	if len(path) == 0 {
		if h := n.handlers[r.Method]; h != nil {
			return h
		}
		if r.Method == http.MethodHead {
			return n.handlers[http.MethodGet]
		}
		return nil
	}
	if next := n.literal[path[0]]; next != nil {
		if h := next.find(path[1:], r); h != nil {
			return h
		}
	}
	if n.param != nil {
		if h := n.param.find(path[1:], r); h != nil {
			r.SetPathValue(n.param.name, path[0])
			return h
		}
	}
	return nil
}

// Methods lists the methods that the path of a request has handlers for.
func (rt *Router) Methods(r *http.Request) []string {
	path, ok := decoded(r)
	if !ok {
		return nil
	}
	methods := rt.root.methods(path, map[string]bool{})
	return slices.Sorted(maps.Keys(methods))
}

func (n *node) methods(path []string, found map[string]bool) map[string]bool {
	if len(path) == 0 {
		for method := range n.handlers {
			found[method] = true
		}
		return found
	}
	if next := n.literal[path[0]]; next != nil {
		next.methods(path[1:], found)
	}
	if n.param != nil {
		n.param.methods(path[1:], found)
	}
	return found
}

// Routes lists the routes, for tests that must know every one.
func (rt *Router) Routes() []string { return rt.root.list("", nil) }

func (n *node) list(path string, routes []string) []string {
	for method := range n.handlers {
		routes = append(routes, method+" "+path)
	}
	for segment, next := range n.literal {
		routes = next.list(path+"/"+segment, routes)
	}
	if n.param != nil {
		routes = n.param.list(path+"/{"+n.param.name+"}", routes)
	}
	return routes
}
