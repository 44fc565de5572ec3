package graph

func (r *removal) fold(note func(string)) {}
