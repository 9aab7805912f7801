/* SPDX-License-Identifier: BSD-3-Clause
 * tcp_cc.c - the congestion controls there are, and what they share */
#include "netstack/tcp_cc.h"

#include <string.h>

const struct cc_ops *stack_cc_find(const char *name)
{
	static const struct cc_ops *const all[] = {&stack_cc_bbr,
						   &stack_cc_cubic};

	for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (strcmp(all[i]->name, name) == 0)
			return all[i];
	return NULL;
}

/* The best of the whole window first, then the best since each of these: what
 * takes over when the first has left the window. A quarter and a half of the
 * window without a better one make the latest value a candidate. */
void stack_best_max(struct cc_best *b, uint64_t window, uint64_t at,
		    uint64_t value)
{
	uint64_t age;

	if (value >= b->best[0].value || at - b->best[2].at > window) {
		for (int i = 0; i < 3; i++) {
			b->best[i].value = value;
			b->best[i].at = at;
		}
		return;
	}
	for (int i = 1; i < 3; i++) {
		if (value < b->best[i].value)
			continue;
		for (int k = i; k < 3; k++) {
			b->best[k].value = value;
			b->best[k].at = at;
		}
		break;
	}
	age = at - b->best[0].at;
	if (age > window) {
		b->best[0] = b->best[1];
		b->best[1] = b->best[2];
		b->best[2].value = value;
		b->best[2].at = at;
		if (at - b->best[0].at > window) {
			b->best[0] = b->best[1];
			b->best[1] = b->best[2];
		}
	} else if (b->best[1].at == b->best[0].at && age > window / 4) {
		b->best[1].value = b->best[2].value = value;
		b->best[1].at = b->best[2].at = at;
	} else if (b->best[2].at == b->best[1].at && age > window / 2) {
		b->best[2].value = value;
		b->best[2].at = at;
	}
}
