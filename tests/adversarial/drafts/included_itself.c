// expect: build-failed
// class: limits
// tries: Includes itself without end.
// held by: the compiler limits depth; a time limit
#include __FILE__
#include __FILE__
