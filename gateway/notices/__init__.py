"""Tell the operator, by mail or by a webhook of his own, what needs him: once when it begins, once when it is over."""
