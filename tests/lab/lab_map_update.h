/* SPDX-License-Identifier: BSD-3-Clause
 * lab_map_update.h - what a client publishes about itself
 */
#ifndef TESTS_LAB_LAB_MAP_UPDATE_H
#define TESTS_LAB_LAB_MAP_UPDATE_H

#include "tests/lab/lab_state.h"

/* Take endpoints, disco key, home DERP and Hostinfo out of a MapRequest;
 * what is malformed in it is left out. */
void lab_map_update(struct lab_state *st, struct lab_node *node,
		    const json_t *body);

#endif
