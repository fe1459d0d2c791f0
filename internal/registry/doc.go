// Package registry holds the nouns and rules of data: accounts, datasets and
// samples, what each of their fields may hold, who may do what, which event a
// change causes and what its text says. It does no I/O.
//
// Fields that clients send are kept as raw JSON, so that number forms and key
// order survive. [DatasetFields] and [SampleFields] say what each may hold;
// reading a request, comparing, storing and rendering all go by those tables.
package registry
