/* SPDX-License-Identifier: BSD-3-Clause
 * notify_message.c - messages in a program's memory
 */
#include "core/host/notify_message.h"

#include <errno.h>
#include <stdlib.h>

struct notify_room *ts_notify_room(struct ts_notify *notify)
{
	if (!notify->room)
		notify->room = calloc(1, sizeof(*notify->room));
	return notify->room;
}

void ts_notify_room_plain(struct notify_room *room, uint64_t base,
			  uint64_t len)
{
	room->iov[0] = (struct notify_iovec){base, len};
	room->iov_count = 1;
	room->data_cap = len < NOTIFY_DATAGRAM_CAP ? (size_t)len
						   : NOTIFY_DATAGRAM_CAP;
}

int ts_notify_room_vector(const struct notify_call *call,
			  struct notify_room *room,
			  const struct notify_msghdr *head)
{
	int err;

	if (head->iov_len > NOTIFY_IOV_MAX)
		return -EMSGSIZE;
	room->iov_count = (size_t)head->iov_len;
	room->data_cap = 0;
	err = ts_notify_read(call, head->iov, room->iov,
			     room->iov_count * sizeof(room->iov[0]));
	if (err)
		return err;
	for (size_t i = 0; i < room->iov_count; i++) {
		size_t left = NOTIFY_DATAGRAM_CAP - room->data_cap;

		if (room->iov[i].len > INT64_MAX)
			return -EINVAL;
		room->data_cap += room->iov[i].len < left
					  ? (size_t)room->iov[i].len
					  : left;
	}
	return 0;
}

void ts_notify_room_cut(struct notify_room *room)
{
	size_t left = NOTIFY_DATAGRAM_CAP - 1;

	for (size_t i = 0; i < room->iov_count; i++) {
		if (room->iov[i].len > left)
			room->iov[i].len = left;
		left -= (size_t)room->iov[i].len;
	}
}

ssize_t ts_notify_gather(const struct notify_call *call,
			 struct notify_room *room)
{
	size_t used = 0;

	for (size_t i = 0; i < room->iov_count; i++) {
		size_t len = (size_t)room->iov[i].len;
		int err;

		if (len >= NOTIFY_DATAGRAM_CAP - used)
			return -EMSGSIZE;
		err = ts_notify_read(call, room->iov[i].base,
				     room->data + used, len);
		if (err)
			return err;
		used += len;
	}
	return (ssize_t)used;
}

int ts_notify_scatter(const struct notify_call *call,
		      const struct notify_room *room, size_t len)
{
	size_t used = 0;

	for (size_t i = 0; i < room->iov_count && used < len; i++) {
		size_t part = len - used;
		int err;

		if (room->iov[i].len < part)
			part = (size_t)room->iov[i].len;
		err = ts_notify_write(call, room->iov[i].base,
				      room->data + used, part);
		if (err)
			return err;
		used += part;
	}
	return 0;
}
