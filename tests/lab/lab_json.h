/* SPDX-License-Identifier: BSD-3-Clause
 * lab_json.h - the objects of the control protocol as JSON
 */
#ifndef TESTS_LAB_LAB_JSON_H
#define TESTS_LAB_LAB_JSON_H

#include <jansson.h>

#include "tests/lab/lab.h"

enum { LAB_TIME_CAP = 32 };

/* RFC 3339, UTC; 0 gives Go's zero time. Returns out. */
char *lab_json_time(int64_t unix_s, char out[static LAB_TIME_CAP]);
/* 0: none or not a time. */
int64_t lab_json_parse_time(const char *text);

/* A node as other nodes see it, as text; cached in the node. NULL: out of
 * memory. */
const char *lab_json_node(struct lab *lab, struct lab_node *node);
/* The others return new references, NULL when out of memory. */
json_t *lab_json_self(struct lab *lab, struct lab_node *node);
json_t *lab_json_patch(const struct lab_node *node); /* PeerChange */
json_t *lab_json_user(const struct lab_user *user);  /* UserProfile */
json_t *lab_json_derp_map(const struct lab *lab);
json_t *lab_json_dns(const struct lab *lab, const struct lab_node *self);
/* What the command socket tells about a node. */
json_t *lab_json_node_summary(const struct lab *lab,
			      const struct lab_node *node);

#endif
