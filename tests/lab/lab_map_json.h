/* SPDX-License-Identifier: BSD-3-Clause
 * lab_map_json.h - MapResponses
 */
#ifndef TESTS_LAB_LAB_MAP_JSON_H
#define TESTS_LAB_LAB_MAP_JSON_H

#include "tests/lab/lab.h"

/* The first message for that node, as heap text; NULL: out of memory. */
char *lab_map_json_full(struct lab *lab, struct lab_node *self,
			bool omit_peers);
/* What changed after revision since. NULL with *err 0: nothing. */
char *lab_map_json_delta(struct lab *lab, struct lab_node *self, uint64_t since,
			 bool omit_peers, int *err);

#endif
