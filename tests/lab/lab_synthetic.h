/* SPDX-License-Identifier: BSD-3-Clause
 * lab_synthetic.h - nodes that nobody runs, to make a tailnet large
 */
#ifndef TESTS_LAB_LAB_SYNTHETIC_H
#define TESTS_LAB_LAB_SYNTHETIC_H

#include "tests/lab/lab.h"

/* How many were added; fewer when memory or addresses run out. */
/* One whose keys and UDP endpoint somebody has who is not this lab; NULL: out
 * of memory. */
struct lab_node *lab_synthetic_add_as(struct lab *lab, const char *name,
				      const struct ts_public_key *key,
				      const struct ts_public_key *disco,
				      const char *endpoint);
size_t lab_synthetic_add(struct lab *lab, size_t count);
/* Removes the youngest ones; how many there were. */
size_t lab_synthetic_remove(struct lab *lab, size_t count);
/* New node and disco keys. 0 or -ENOMEM */
int lab_synthetic_rekey(struct lab *lab, struct lab_node *node);

#endif
