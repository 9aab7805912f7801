/* SPDX-License-Identifier: BSD-3-Clause
 * notify_message.h - messages in a program's memory
 */
#ifndef CORE_HOST_NOTIFY_MESSAGE_H
#define CORE_HOST_NOTIFY_MESSAGE_H

#include <sys/uio.h>

#include "core/broker/datagram_control.h"
#include "core/host/notify.h"

enum {
	NOTIFY_DATAGRAM_CAP = 65536, /* more than one can carry */
	NOTIFY_IOV_MAX = 1024,	     /* UIO_MAXIOV */
	NOTIFY_CONTROL_CAP = 4096,   /* of received control data */
};

/* As the kernel has them; a libc's may differ (musl's do). */
struct notify_msghdr {
	uint64_t name;
	int32_t name_len;
	uint32_t pad;
	uint64_t iov, iov_len;
	uint64_t control, control_len;
	uint32_t flags, pad2;
};
struct notify_mmsghdr {
	struct notify_msghdr head;
	uint32_t len, pad;
};
struct notify_iovec {
	uint64_t base, len;
};

/* Room for one message, used within one call. */
struct notify_room {
	uint8_t data[NOTIFY_DATAGRAM_CAP];
	uint8_t control[NOTIFY_CONTROL_CAP];
	struct notify_iovec iov[NOTIFY_IOV_MAX];
	size_t iov_count, data_cap; /* of the program's */
};

/* NULL: out of memory. */
struct notify_room *ts_notify_room(struct ts_notify *notify);
/* recvfrom's and sendto's buffer, as a vector of one. */
void ts_notify_room_plain(struct notify_room *room, uint64_t base,
			  uint64_t len);
/* The vector of a message: 0, -EFAULT, -EMSGSIZE, ... */
int ts_notify_room_vector(const struct notify_call *call,
			  struct notify_room *room,
			  const struct notify_msghdr *head);
/* Keeps of the vector what can be gathered. */
void ts_notify_room_cut(struct notify_room *room);
/* The program's bytes into room->data: how many, or -errno. */
ssize_t ts_notify_gather(const struct notify_call *call,
			 struct notify_room *room);
/* len bytes of room->data to where the program wants them. */
int ts_notify_scatter(const struct notify_call *call,
		      const struct notify_room *room, size_t len);

#endif
