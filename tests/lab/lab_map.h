/* SPDX-License-Identifier: BSD-3-Clause
 * lab_map.h - POST /machine/map: the network map and its changes
 */
#ifndef TESTS_LAB_LAB_MAP_H
#define TESTS_LAB_LAB_MAP_H

#include "core/crypto/keys.h"
#include "tests/lab/h2_server.h"
#include "tests/lab/lab.h"

/* 0 or -ENOMEM */
int lab_map_new(struct lab *lab, struct lab_map **out);
void lab_map_free(struct lab_map *map); /* NULL is fine */
void lab_map_request(struct lab *lab, struct lab_h2_stream *stream,
		     const struct ts_public_key *machine,
		     const struct lab_h2_request *req);
/* Send each stream what its client does not know; once a turn. */
void lab_map_flush(struct lab_map *map);

/* The following go to the streams of one node, or of all (NULL), and return
 * how many streams that were. */

/* One message of this JSON text. */
size_t lab_map_send_json(struct lab_map *map, const struct lab_node *node,
			 const char *json);
/* These bytes as they are, whatever the client makes of them. */
size_t lab_map_send_raw(struct lab_map *map, const struct lab_node *node,
			const void *data, size_t len);
size_t lab_map_close(struct lab_map *map, const struct lab_node *node);
/* Reset the stream that is the first to exceed so many bytes from now on,
 * wherever that is in a message. */
void lab_map_cut_after(struct lab_map *map, size_t bytes);
/* While held, changes are not sent; then all at once. */
void lab_map_hold(struct lab_map *map, bool on);
json_t *lab_map_stats(const struct lab_map *map);

#endif
