// Package registry is the HTTP face of the registry: accounts, datasets and
// samples as official clients of the labelling platform expect them.
//
// Every route asks for an API key. What the key's account may see and do is
// decided in the store, in the transaction of the change. Bodies of errors are
// fixed sentences and never repeat what was sent: clients search them for
// phrases, and a name could hold one.
package registry
