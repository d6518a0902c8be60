/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Zephyr's sockets, time and entropy as plain functions for src/zephyr of the Rust crate.
 *
 * Most of Zephyr's socket calls are inline functions or system calls, which Rust cannot link to,
 * and the numbers of errno depend on the C library. Both stay on this side.
 *
 * Every function returns 0 or more when it succeeds, and what failure() makes of errno when it
 * fails. A deadline is an uptime in milliseconds; INT64_MAX never comes.
 */

#include <errno.h>
#include <limits.h>
#include <string.h>

#include <zephyr/kernel.h>
#include <zephyr/net/socket.h>
#include <zephyr/random/random.h>
#include <zephyr/sys/fdtable.h>
#include <zephyr/version.h>

#include "shim.h"

#ifdef CONFIG_RUST_WEBSOCKET_ACCEPT_KEY_PSA
#include <psa/crypto.h>
#endif

#ifdef CONFIG_NET_SOCKETS_SOCKOPT_TLS
#include <zephyr/net/tls_credentials.h>
#endif

#ifdef CONFIG_NET_SOCKETS_TLS_CERT_VERIFY_CALLBACK
#include <zephyr/spinlock.h>
#include <zephyr/sys/slist.h>
#include <mbedtls/ssl.h>
#include <mbedtls/x509_crt.h>
#endif

/* rust_websocket_tls_send() relies on it that only a full send buffer stops a record. */
#ifdef MBEDTLS_SSL_RENEGOTIATION
#error "TLS renegotiation is not supported: disable MBEDTLS_SSL_RENEGOTIATION"
#endif

/* src/zephyr/error.rs has the same numbers. */
enum cause {
	CAUSE_OTHER = 1,
	CAUSE_TIMED_OUT,
	CAUSE_RESOLVE,
	CAUSE_REFUSED,
	CAUSE_UNREACHABLE,
	CAUSE_RESET,
	CAUSE_ABORTED,
	CAUSE_NOT_CONNECTED,
	CAUSE_ADDRESS_IN_USE,
	CAUSE_ADDRESS_NOT_AVAILABLE,
	CAUSE_PERMISSION_DENIED,
	CAUSE_OUT_OF_MEMORY,
	CAUSE_OUT_OF_DESCRIPTORS,
	CAUSE_UNSUPPORTED,
	/* No failure: see rust_websocket_recv_or_writable(). */
	CAUSE_WRITABLE,
	CAUSE_POLL_MAX,
	/* With a tls_cause as its detail. */
	CAUSE_TLS,
};

/* src/zephyr/tls.rs has the same numbers. */
enum tls_cause {
	TLS_HANDSHAKE = 1,
	TLS_HANDSHAKE_TIMED_OUT,
	TLS_UNKNOWN_CA,
	TLS_EXPIRED,
	TLS_NOT_YET_VALID,
	TLS_WRONG_HOSTNAME,
	TLS_CERTIFICATE,
	TLS_OUT_OF_MEMORY,
	TLS_UNKNOWN_SEC_TAG,
	TLS_CREDENTIAL,
	TLS_SEC_TAG_IN_USE,
	TLS_TOO_MANY_CREDENTIALS,
	TLS_TIMEOUT_TOO_SHORT,
	TLS_OPTION,
};

/* src/zephyr/poll.rs has the same numbers and the same struct. */
#define READ  BIT(0)
#define WRITE BIT(1)

struct rust_websocket_poll {
	int fd;
	uint8_t interest;
	uint8_t ready;
};

/* How long to wait for the stack's buffers, whose return nothing announces. */
#define BUFFER_WAIT_MS 10

/* How often a thread looks at a socket that another polls: see poll_sockets(). */
#define SHARED_POLL_MS 1

/* Ports to try where the stack cannot tell which one it would choose (RFC 6335 section 6). */
#define DYNAMIC_PORT_FIRST 49152
#define DYNAMIC_PORT_MASK  0x3fff
#define DYNAMIC_PORT_TRIES 8

/* Until 4.3, zsock_sendmsg() of a connected IPv6 socket dereferences NULL with this option. */
#define SENDMSG_BROKEN                                                                             \
	(IS_ENABLED(CONFIG_NET_IPV4_MAPPING_TO_IPV6) &&                                            \
	 ZEPHYR_VERSION_CODE < ZEPHYR_VERSION(4, 3, 0))

static int failure_of(enum cause cause, int detail)
{
	return -(int)(cause | (detail << 8));
}

static enum cause cause_of(int err)
{
	switch (err) {
	case EAGAIN:
		return CAUSE_TIMED_OUT;
	case ECONNREFUSED:
		return CAUSE_REFUSED;
	case EHOSTUNREACH:
	case ENETDOWN:
	case ENETUNREACH:
		return CAUSE_UNREACHABLE;
	case ECONNRESET:
		return CAUSE_RESET;
	/* TCP has given the peer up: not a deadline of ours, repeating would be useless. */
	case ETIMEDOUT:
	case ECONNABORTED:
		return CAUSE_ABORTED;
	case ENOTCONN:
	case EPIPE:
		return CAUSE_NOT_CONNECTED;
	case EADDRINUSE:
		return CAUSE_ADDRESS_IN_USE;
	case EADDRNOTAVAIL:
		return CAUSE_ADDRESS_NOT_AVAILABLE;
	case EACCES:
	case EPERM:
		return CAUSE_PERMISSION_DENIED;
	case ENOBUFS:
	case ENOMEM:
		return CAUSE_OUT_OF_MEMORY;
	case EMFILE:
	case ENFILE:
		return CAUSE_OUT_OF_DESCRIPTORS;
	case EAFNOSUPPORT:
	case EPROTONOSUPPORT:
#if ENOTSUP != EOPNOTSUPP
	case ENOTSUP:
#endif
	case EOPNOTSUPP:
		return CAUSE_UNSUPPORTED;
	default:
		return CAUSE_OTHER;
	}
}

static int failure(int err)
{
	return failure_of(cause_of(err), err);
}

int rust_websocket_failure(int err)
{
	return failure(err);
}

/* What is left until the deadline, in the form that zsock_poll() takes. */
static int timeout_ms(int64_t deadline)
{
	if (deadline == INT64_MAX) {
		return SYS_FOREVER_MS;
	}

	return (int)CLAMP(deadline - k_uptime_get(), 0, INT_MAX);
}

/*
 * zsock_poll() for a socket that another thread may be in with the same call: native_sim ends with
 * an error if two poll one of the PC's sockets. There the second does not learn what has happened,
 * only that it is time to look.
 */
static int poll_sockets(struct zsock_pollfd *sockets, int count, int timeout)
{
#ifdef CONFIG_NET_NATIVE_OFFLOADED_SOCKETS
	static ATOMIC_DEFINE(polled, CONFIG_ZVFS_OPEN_MAX);
	int taken = 0;
	int ready = timeout == 0 ? 0 : -1;
	int err = EINTR;

	while (taken < count && (!IN_RANGE(sockets[taken].fd, 0, CONFIG_ZVFS_OPEN_MAX - 1) ||
				 !atomic_test_and_set_bit(polled, sockets[taken].fd))) {
		taken++;
	}

	if (taken == count) {
		ready = zsock_poll(sockets, count, timeout);
		err = errno;
	}

	while (taken-- > 0) {
		if (IN_RANGE(sockets[taken].fd, 0, CONFIG_ZVFS_OPEN_MAX - 1)) {
			atomic_clear_bit(polled, sockets[taken].fd);
		}
	}

	if (ready < 0 && err == EINTR) {
		k_msleep(SHARED_POLL_MS);
	}

	errno = err;
	return ready;
#else
	return zsock_poll(sockets, count, timeout);
#endif
}

/*
 * After a non-blocking call has failed: whether to repeat it. Waits until it can get further.
 * Trying first and polling afterwards is deliberate: poll() of a TLS socket does not see data that
 * is decrypted already, and a blocking recv() would keep the descriptor locked against senders.
 */
static bool try_again(struct zsock_pollfd *sockets, int count, int64_t deadline)
{
	int left = timeout_ms(deadline);
	int ready;

	if (errno == EINTR) {
		return true;
	}

	if (errno != EAGAIN && errno != ENOBUFS) {
		return false;
	}

	if (left == 0) {
		errno = EAGAIN;
		return false;
	}

	if (errno == ENOBUFS) {
		/* poll() would call the socket writable. */
		k_msleep(left < 0 ? BUFFER_WAIT_MS : MIN(left, BUFFER_WAIT_MS));
		return true;
	}

	ready = poll_sockets(sockets, count, left);
	if (ready == 0) {
		/* Offloaded TLS sockets end poll() early, also at the end of the stream. */
		errno = timeout_ms(deadline) != 0 ? EINTR : EAGAIN;
	}

	return ready > 0 || errno == EINTR;
}

/* close() without losing the errno that led to it. */
static void discard(int fd)
{
	int err = errno;

	(void)zsock_close(fd);
	errno = err;
}

static int set_nonblocking(int fd)
{
	return zsock_fcntl(fd, ZVFS_F_SETFL, ZVFS_O_NONBLOCK);
}

static int set_option(int fd, int level, int option, int value)
{
	return zsock_setsockopt(fd, level, option, &value, sizeof(value));
}

static int set_keepalive(int fd, int idle_s, int interval_s, int count)
{
	if (idle_s == 0) {
		return set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 0);
	}

	if (set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, idle_s) < 0 ||
	    set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, interval_s) < 0 ||
	    set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, count) < 0) {
		return -1;
	}

	return set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
}

/*
 * What every connection begins with. An offloading driver without TCP_NODELAY delays small writes
 * at worst; one without keepalive does not notice that a peer has vanished.
 */
void rust_websocket_set_up(int fd)
{
	(void)set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (CONFIG_RUST_WEBSOCKET_KEEPALIVE_IDLE_S > 0) {
		(void)set_keepalive(fd, CONFIG_RUST_WEBSOCKET_KEEPALIVE_IDLE_S,
				    CONFIG_RUST_WEBSOCKET_KEEPALIVE_INTERVAL_S,
				    CONFIG_RUST_WEBSOCKET_KEEPALIVE_COUNT);
	}
}

#ifdef CONFIG_NET_SOCKETS_SOCKOPT_TLS
/* What a TLS socket is given before it connects or listens. src/zephyr/ffi.rs has the same. */
struct tls_options {
	const sec_tag_t *sec_tags;
	size_t sec_tags_count;
	/* NULL for a server. */
	const char *hostname;
	int verify;
};

/* Connecting may take this long, and the handshake again; nothing can interrupt them. */
#define TLS_STEP_MS CONFIG_NET_SOCKETS_CONNECT_TIMEOUT

static int tls_failure(enum tls_cause cause)
{
	return failure_of(CAUSE_TLS, cause);
}

#ifdef CONFIG_NET_SOCKETS_TLS_CERT_VERIFY_CALLBACK
/* What mbedTLS has found about the peer's certificates, in the handshake of one thread. */
struct verification {
	sys_snode_t node;
	k_tid_t thread;
	uint32_t flags;
};

static struct k_spinlock verifications_lock;
static sys_slist_t verifications = SYS_SLIST_STATIC_INIT(&verifications);

/*
 * mbedTLS calls it for each certificate of the chain; 0 leaves the verdict to mbedTLS. Zephyr
 * forgets that verdict when a handshake fails. The thread says whose it is: a pointer in the
 * socket's options would have to outlive the socket.
 */
static int note_flags(void *context, mbedtls_x509_crt *certificate, int depth, uint32_t *flags)
{
	k_spinlock_key_t key = k_spin_lock(&verifications_lock);
	struct verification *verification;

	ARG_UNUSED(context);
	ARG_UNUSED(certificate);
	ARG_UNUSED(depth);

	SYS_SLIST_FOR_EACH_CONTAINER(&verifications, verification, node) {
		if (verification->thread == k_current_get()) {
			verification->flags |= *flags;
		}
	}
	k_spin_unlock(&verifications_lock, key);

	return 0;
}

static void begin_verification(struct verification *verification)
{
	k_spinlock_key_t key = k_spin_lock(&verifications_lock);

	*verification = (struct verification){.thread = k_current_get()};
	sys_slist_append(&verifications, &verification->node);
	k_spin_unlock(&verifications_lock, key);
}

/* The most serious finding: of a certificate whom nobody trusts, no other word counts. */
static enum tls_cause end_verification(struct verification *verification)
{
	k_spinlock_key_t key = k_spin_lock(&verifications_lock);
	uint32_t flags = verification->flags;

	(void)sys_slist_find_and_remove(&verifications, &verification->node);
	k_spin_unlock(&verifications_lock, key);

	if ((flags & MBEDTLS_X509_BADCERT_NOT_TRUSTED) != 0) {
		return TLS_UNKNOWN_CA;
	}
	if ((flags & MBEDTLS_X509_BADCERT_EXPIRED) != 0) {
		return TLS_EXPIRED;
	}
	if ((flags & MBEDTLS_X509_BADCERT_FUTURE) != 0) {
		return TLS_NOT_YET_VALID;
	}
	if ((flags & MBEDTLS_X509_BADCERT_CN_MISMATCH) != 0) {
		return TLS_WRONG_HOSTNAME;
	}

	return flags != 0 ? TLS_CERTIFICATE : TLS_HANDSHAKE;
}

static int set_verify_callback(int fd)
{
	struct tls_cert_verify_cb callback = {.cb = (void *)note_flags};

	return zsock_setsockopt(fd, SOL_TLS, TLS_CERT_VERIFY_CALLBACK, &callback, sizeof(callback));
}
#else
struct verification {
};

static void begin_verification(struct verification *verification)
{
	ARG_UNUSED(verification);
}

static enum tls_cause end_verification(struct verification *verification)
{
	ARG_UNUSED(verification);

	return TLS_HANDSHAKE;
}

static int set_verify_callback(int fd)
{
	ARG_UNUSED(fd);

	return 0;
}
#endif /* CONFIG_NET_SOCKETS_TLS_CERT_VERIFY_CALLBACK */

/* What connecting or accepting failed of, by the errno that Zephyr's TLS sockets leave. */
static int tls_failure_of(int err, enum tls_cause verdict)
{
	switch (err) {
	/* Any mistake in the handshake. */
	case ECONNABORTED:
	/* The peer has reset it: connecting and accepting alone end with none of these. */
	case ECONNRESET:
	case ENOTCONN:
	case EPIPE:
	case EIO:
		return tls_failure(verdict);
	case ENOMEM:
		return tls_failure(TLS_OUT_OF_MEMORY);
	case ENOENT:
		return tls_failure(TLS_UNKNOWN_SEC_TAG);
	case EINVAL:
		return tls_failure(TLS_CREDENTIAL);
	default:
		return failure(err);
	}
}

static int open_tls(sa_family_t family, const struct tls_options *tls)
{
	/* What a WebSocket's opening handshake is written in (RFC 7301). Zephyr keeps the pointer. */
	static const char *const alpn[] = {"http/1.1"};
	/* Of the versions that are enabled the newest is negotiated, whichever this names. */
	int fd = zsock_socket(family, SOCK_STREAM, IPPROTO_TLS_1_2);

	if (fd < 0) {
		return -1;
	}

	if (zsock_setsockopt(fd, SOL_TLS, TLS_SEC_TAG_LIST, tls->sec_tags,
			     tls->sec_tags_count * sizeof(*tls->sec_tags)) < 0 ||
	    set_option(fd, SOL_TLS, TLS_PEER_VERIFY, tls->verify) < 0 ||
	    (tls->hostname != NULL && zsock_setsockopt(fd, SOL_TLS, TLS_HOSTNAME, tls->hostname,
						       strlen(tls->hostname) + 1) < 0) ||
	    (IS_ENABLED(CONFIG_MBEDTLS_SSL_ALPN) &&
	     zsock_setsockopt(fd, SOL_TLS, TLS_ALPN_LIST, alpn, sizeof(alpn)) < 0) ||
	    set_verify_callback(fd) < 0) {
		discard(fd);
		return -1;
	}

	return fd;
}
#else
struct tls_options;
#endif /* CONFIG_NET_SOCKETS_SOCKOPT_TLS */

/* Speaks TLS if there are options for it. */
static int open_socket(sa_family_t family, const struct tls_options *tls)
{
#ifdef CONFIG_NET_SOCKETS_SOCKOPT_TLS
	if (tls != NULL) {
		return open_tls(family, tls);
	}
#endif

	return zsock_socket(family, SOCK_STREAM, IPPROTO_TCP);
}

int64_t rust_websocket_uptime_ms(void)
{
	return k_uptime_get();
}

int rust_websocket_csrand(void *bytes, size_t len)
{
	int err = sys_csrand_get(bytes, len);

	return err == 0 ? 0 : failure(-err);
}

#ifdef CONFIG_RUST_WEBSOCKET_ACCEPT_KEY_PSA
int rust_websocket_sha1(const uint8_t *bytes, size_t len, uint8_t digest[20])
{
	size_t digest_len;
	/* Does nothing if Zephyr has done it at boot. */
	psa_status_t status = psa_crypto_init();

	if (status == PSA_SUCCESS) {
		status = psa_hash_compute(PSA_ALG_SHA_1, bytes, len, digest, 20, &digest_len);
	}

	return status == PSA_SUCCESS ? 0 : failure_of(CAUSE_OTHER, 0);
}
#endif

static int connect_to(struct sockaddr *addr, socklen_t addr_len, int64_t deadline)
{
	int fd = zsock_socket(addr->sa_family, SOCK_STREAM, IPPROTO_TCP);
	struct zsock_pollfd socket = {.fd = fd, .events = ZSOCK_POLLOUT};
	int err = 0;
	socklen_t err_len = sizeof(err);

	if (fd < 0) {
		return -1;
	}

	if (set_nonblocking(fd) < 0) {
		goto failed;
	}

	if (zsock_connect(fd, addr, addr_len) < 0) {
		if (errno != EINPROGRESS) {
			goto failed;
		}

		do {
			errno = EAGAIN;
			if (!try_again(&socket, 1, deadline)) {
				goto failed;
			}
		} while (errno == EINTR);

		if (zsock_getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &err_len) < 0) {
			goto failed;
		}
		if (err != 0) {
			/* Here it is the same whose timer was the shorter one. */
			errno = err == ETIMEDOUT ? EAGAIN : err;
			goto failed;
		}
	}

	rust_websocket_set_up(fd);

	return fd;

failed:
	discard(fd);

	return -1;
}

static int resolve(const char *host, struct zsock_addrinfo **addresses)
{
	struct zsock_addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	int err;

	*addresses = NULL;
	err = zsock_getaddrinfo(host, NULL, &hints, addresses);
	if (err == DNS_EAI_MEMORY) {
		return failure(ENOMEM);
	}

	return err != 0 || *addresses == NULL ? failure_of(CAUSE_RESOLVE, -err) : 0;
}

int rust_websocket_connect(const char *host, uint16_t port, int64_t deadline)
{
	struct zsock_addrinfo *addresses;
	int untried = 0;
	int fd = -1;
	int err = resolve(host, &addresses);

	if (err < 0) {
		return err;
	}

	for (struct zsock_addrinfo *ai = addresses; ai != NULL; ai = ai->ai_next) {
		untried++;
	}

	for (struct zsock_addrinfo *ai = addresses; ai != NULL && fd < 0; ai = ai->ai_next) {
		int left = timeout_ms(deadline);

		/* An address that does not answer must not use up the time of the next one. */
		int64_t share = left < 0 ? deadline : k_uptime_get() + left / untried;

		untried--;
		/* IPv4 and IPv6 have the port at the same place. */
		net_sin(ai->ai_addr)->sin_port = htons(port);
		fd = connect_to(ai->ai_addr, ai->ai_addrlen, share);
	}

	err = errno;
	zsock_freeaddrinfo(addresses);

	return fd < 0 ? failure(err) : fd;
}

#ifdef CONFIG_NET_SOCKETS_SOCKOPT_TLS
/*
 * Connects and does the handshake: Zephyr's connect() of a TLS socket waits for both, whatever mode
 * the socket is in.
 */
static int connect_tls_to(struct sockaddr *addr, socklen_t addr_len, const struct tls_options *tls)
{
	struct verification verification;
	enum tls_cause verdict;
	int result;
	int fd = open_tls(addr->sa_family, tls);

	if (fd < 0) {
		return errno == EINVAL ? tls_failure(TLS_OPTION)
				       : tls_failure_of(errno, TLS_OPTION);
	}

	result = set_nonblocking(fd);
	if (result < 0) {
		result = failure(errno);
		goto failed;
	}

	begin_verification(&verification);
	result = zsock_connect(fd, addr, addr_len);
	verdict = end_verification(&verification);
	if (result < 0) {
		if (errno == ETIMEDOUT) {
			result = failure(EAGAIN);
		} else if (errno == EAGAIN) {
			/* Only the handshake ends with it. */
			result = tls_failure(TLS_HANDSHAKE_TIMED_OUT);
		} else {
			result = tls_failure_of(errno, verdict);
		}
		goto failed;
	}

	rust_websocket_set_up(fd);

	return fd;

failed:
	(void)zsock_close(fd);

	return result;
}

static enum cause cause_in(int returned)
{
	return returned < 0 ? -returned & 0xff : 0;
}

/* Whether an attempt that begins now is over before the deadline. */
static bool is_time_for_tls(int64_t deadline)
{
	int left = timeout_ms(deadline);

	return left < 0 || left >= 2 * TLS_STEP_MS;
}

int rust_websocket_tls_connect(const char *host, uint16_t port, const struct tls_options *tls,
			       int64_t deadline)
{
	struct zsock_addrinfo *addresses;
	int fd;

	if (!is_time_for_tls(deadline)) {
		return tls_failure(TLS_TIMEOUT_TOO_SHORT);
	}

	fd = resolve(host, &addresses);
	if (fd < 0) {
		return fd;
	}

	fd = failure(EAGAIN);
	for (struct zsock_addrinfo *ai = addresses; ai != NULL && fd < 0; ai = ai->ai_next) {
		if (!is_time_for_tls(deadline)) {
			break;
		}
		net_sin(ai->ai_addr)->sin_port = htons(port);
		fd = connect_tls_to(ai->ai_addr, ai->ai_addrlen, tls);
		if (cause_in(fd) == CAUSE_TLS) {
			/* Another address is no other server, and must not hide the reason. */
			break;
		}
	}

	zsock_freeaddrinfo(addresses);

	return fd;
}
#endif /* CONFIG_NET_SOCKETS_SOCKOPT_TLS */

/* Writes the port that was bound, when 0 let the stack choose it. */
static int listen_on(sa_family_t family, const struct tls_options *tls, uint16_t *port,
		     int backlog)
{
	/* The address "any" is all zeros in both families, and the port is at the same place. */
	struct sockaddr_in6 any = {.sin6_family = family, .sin6_port = htons(*port)};
	socklen_t any_len =
		family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
	int fd = open_socket(family, tls);

	if (fd < 0) {
		return -1;
	}

	/* Without it, a restart has to wait for the old connections to time out. */
	(void)set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (family == AF_INET6) {
		/* Leaves the port of IPv4 to the other socket. */
		(void)set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	}

	if (zsock_bind(fd, (struct sockaddr *)&any, any_len) < 0 ||
	    zsock_listen(fd, backlog) < 0 || set_nonblocking(fd) < 0) {
		goto failed;
	}

	if (*port == 0) {
		if (zsock_getsockname(fd, (struct sockaddr *)&any, &any_len) < 0) {
			goto failed;
		}
		*port = ntohs(any.sin6_port);
	}

	return fd;

failed:
	discard(fd);

	return -1;
}

/*
 * One socket for each family, as Zephyr's own stack does not serve IPv4 on an IPv6 socket unless
 * it is told to map addresses.
 */
static int listen_on_both(int listeners[2], const struct tls_options *tls, uint16_t *port,
			  int backlog)
{
	listeners[0] =
		IS_ENABLED(CONFIG_NET_IPV6) ? listen_on(AF_INET6, tls, port, backlog) : -1;
	listeners[1] = -1;

	if (IS_ENABLED(CONFIG_NET_IPV6) && !IS_ENABLED(CONFIG_NET_IPV4)) {
		return listeners[0] < 0 ? -1 : 0;
	}

	/* A host whose sockets are used here can be without IPv6. */
	if (IS_ENABLED(CONFIG_NET_IPV6) && listeners[0] < 0 &&
	    cause_of(errno) != CAUSE_UNSUPPORTED && errno != EADDRNOTAVAIL) {
		return -1;
	}

	listeners[1] = listen_on(AF_INET, tls, port, backlog);
	if (listeners[1] < 0) {
		if (listeners[0] >= 0) {
			discard(listeners[0]);
		}
		return -1;
	}

	return 0;
}

/* Leaves errno, if it fails. */
static int listen_at(int listeners[2], const struct tls_options *tls, uint16_t *port, int backlog)
{
	bool any_port = *port == 0;
	int err = listen_on_both(listeners, tls, port, backlog);

	/* Not every offloading driver can tell which port the stack has chosen. */
	if (IS_ENABLED(CONFIG_NET_SOCKETS_OFFLOAD) && err < 0 && any_port &&
	    cause_of(errno) == CAUSE_UNSUPPORTED) {
		int tries = DYNAMIC_PORT_TRIES;

		do {
			*port = DYNAMIC_PORT_FIRST + (sys_rand16_get() & DYNAMIC_PORT_MASK);
			err = listen_on_both(listeners, tls, port, backlog);
		} while (err < 0 && errno == EADDRINUSE && --tries > 0);
	}

	return err;
}

/* Fills in one or two descriptors, and -1 for one that is not needed. */
int rust_websocket_listen(int listeners[2], uint16_t *port, int backlog)
{
	return listen_at(listeners, NULL, port, backlog) < 0 ? failure(errno) : 0;
}

#ifdef CONFIG_NET_SOCKETS_SOCKOPT_TLS
int rust_websocket_tls_listen(int listeners[2], const struct tls_options *tls, uint16_t *port,
			      int backlog)
{
	if (listen_at(listeners, tls, port, backlog) == 0) {
		return 0;
	}

	/* Credentials are not looked at yet. */
	return errno == EINVAL ? tls_failure(TLS_OPTION) : tls_failure_of(errno, TLS_OPTION);
}
#endif

int rust_websocket_accept(int first, int second, int64_t deadline)
{
	struct zsock_pollfd listeners[] = {
		{.fd = first, .events = ZSOCK_POLLIN},
		{.fd = second, .events = ZSOCK_POLLIN},
	};

	do {
		for (size_t i = 0; i < ARRAY_SIZE(listeners); i++) {
			int fd;

			if (listeners[i].fd < 0) {
				continue;
			}

			fd = zsock_accept(listeners[i].fd, NULL, NULL);
			if (fd >= 0) {
				rust_websocket_set_up(fd);
				return fd;
			}
			if (errno != EAGAIN) {
				break;
			}
		}
		/*
		 * A peer that has gone again is no failure of the listener. Without memory there is
		 * nothing to wait for: a connection that waits keeps the listener ready.
		 */
	} while (errno == ECONNABORTED ||
		 (errno != ENOBUFS && try_again(listeners, ARRAY_SIZE(listeners), deadline)));

	return failure(errno);
}

#ifdef CONFIG_NET_SOCKETS_SOCKOPT_TLS
/*
 * Once a connection is there, accept() waits for the handshake whatever mode the socket is in. It
 * ends with EAGAIN then too: how long it took tells the one from the other.
 */
int rust_websocket_tls_accept(int first, int second, int64_t deadline)
{
	struct zsock_pollfd listeners[] = {
		{.fd = first, .events = ZSOCK_POLLIN},
		{.fd = second, .events = ZSOCK_POLLIN},
	};
	enum tls_cause verdict = TLS_HANDSHAKE;

	do {
		for (size_t i = 0; i < ARRAY_SIZE(listeners); i++) {
			struct verification verification;
			int64_t start = k_uptime_get();
			int fd;

			if (listeners[i].fd < 0) {
				continue;
			}

			begin_verification(&verification);
			fd = zsock_accept(listeners[i].fd, NULL, NULL);
			verdict = end_verification(&verification);
			if (fd >= 0) {
				rust_websocket_set_up(fd);
				return fd;
			}
			if (errno != EAGAIN) {
				break;
			}
			if (k_uptime_get() - start >= TLS_STEP_MS) {
				return tls_failure(TLS_HANDSHAKE_TIMED_OUT);
			}
		}
	} while (errno != ENOBUFS && try_again(listeners, ARRAY_SIZE(listeners), deadline));

	return tls_failure_of(errno, verdict);
}

/* Zephyr keeps the pointer. */
int rust_websocket_tls_credential_add(sec_tag_t sec_tag, int type, const void *bytes, size_t len)
{
	int err = tls_credential_add(sec_tag, type, bytes, len);

	switch (-err) {
	case 0:
		return 0;
	case EEXIST:
		return tls_failure(TLS_SEC_TAG_IN_USE);
	case ENOMEM:
		return tls_failure(TLS_TOO_MANY_CREDENTIALS);
	default:
		return failure(-err);
	}
}

bool rust_websocket_is_tls(int fd)
{
	int protocol;
	socklen_t protocol_len = sizeof(protocol);

	return zsock_getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &protocol_len) == 0 &&
	       protocol >= IPPROTO_TLS_1_0 && protocol <= IPPROTO_TLS_1_3;
}
#endif /* CONFIG_NET_SOCKETS_SOCKOPT_TLS */

int rust_websocket_recv(int fd, void *bytes, size_t len, int64_t deadline)
{
	struct zsock_pollfd socket = {.fd = fd, .events = ZSOCK_POLLIN};
	ssize_t n;

	if (len == 0) {
		return 0;
	}

	do {
		n = zsock_recv(fd, bytes, MIN(len, INT_MAX), ZSOCK_MSG_DONTWAIT);
	} while (n < 0 && try_again(&socket, 1, deadline));

	return n < 0 ? failure(errno) : (int)n;
}

/*
 * Like rust_websocket_recv(), but fails with CAUSE_WRITABLE as soon as fd takes bytes.
 *
 * The caller has just been refused by fd. Where poll() calls it writable at once all the same, what
 * it lacks is the stack's buffers, and the caller would ask again and again: it then waits for
 * bytes, and for BUFFER_WAIT_MS at the most.
 */
int rust_websocket_recv_or_writable(int fd, void *bytes, size_t len, int64_t deadline)
{
	struct zsock_pollfd pfd = {.fd = fd, .events = ZSOCK_POLLIN | ZSOCK_POLLOUT};
	int ready;

	do {
		int n = rust_websocket_recv(fd, bytes, len, 0);

		if (n != failure(EAGAIN)) {
			return n;
		}

		ready = poll_sockets(&pfd, 1, 0);
		if (ready > 0 && pfd.revents == ZSOCK_POLLOUT) {
			n = rust_websocket_recv(fd, bytes, len,
						MIN(deadline, k_uptime_get() + BUFFER_WAIT_MS));
			return n == failure(EAGAIN) && timeout_ms(deadline) != 0
				       ? failure_of(CAUSE_WRITABLE, 0)
				       : n;
		}

		if (ready == 0) {
			ready = poll_sockets(&pfd, 1, timeout_ms(deadline));
			if (ready > 0 && pfd.revents == ZSOCK_POLLOUT) {
				return failure_of(CAUSE_WRITABLE, 0);
			}
		}
	} while (ready > 0 || (ready < 0 && errno == EINTR) ||
		 (ready == 0 && timeout_ms(deadline) != 0));

	return failure(ready == 0 ? EAGAIN : errno);
}

/*
 * Waits until fd takes bytes, or for no good reason. refused says that it took none although this
 * function had said that it would.
 */
int rust_websocket_wait_writable(int fd, bool refused, int64_t deadline)
{
	struct zsock_pollfd socket = {.fd = fd, .events = ZSOCK_POLLOUT};

	errno = refused ? ENOBUFS : EAGAIN;

	return try_again(&socket, 1, deadline) ? 0 : failure(errno);
}

int rust_websocket_send(int fd, const void *head, size_t head_len, const void *payload,
			size_t payload_len, int64_t deadline)
{
	struct iovec parts[] = {
		{.iov_base = (void *)head, .iov_len = head_len},
		{.iov_base = (void *)payload, .iov_len = MIN(payload_len, INT_MAX / 2)},
	};
	struct msghdr msg = {
		.msg_iov = head_len > 0 ? &parts[0] : &parts[1],
		.msg_iovlen = (head_len > 0) + (payload_len > 0),
	};
	struct zsock_pollfd socket = {.fd = fd, .events = ZSOCK_POLLOUT};
	ssize_t n;

	if (msg.msg_iovlen == 0) {
		return 0;
	}

	do {
		if (SENDMSG_BROKEN) {
			n = zsock_send(fd, msg.msg_iov[0].iov_base, msg.msg_iov[0].iov_len,
				       ZSOCK_MSG_DONTWAIT);
		} else {
			n = zsock_sendmsg(fd, &msg, ZSOCK_MSG_DONTWAIT);
		}
	} while (n < 0 && try_again(&socket, 1, deadline));

	return n < 0 ? failure(errno) : (int)n;
}

#ifdef CONFIG_NET_SOCKETS_SOCKOPT_TLS
/* What src/zephyr/ffi.rs keeps for a TLS socket, all 0 at first. */
struct rust_websocket_tls_output {
	/* The length of a record that was encrypted and has not left; 0 if there is none. */
	size_t waiting;
	/* Bytes that have left in it, and of which the caller was not told yet. */
	size_t untold;
};

/* Up to this length a frame's header and payload leave in one record. */
#define TLS_JOINED_SIZE 256

static ssize_t send_record(int fd, const void *bytes, size_t len, int64_t deadline)
{
	struct zsock_pollfd socket = {.fd = fd, .events = ZSOCK_POLLOUT};
	ssize_t n;

	do {
		n = zsock_send(fd, bytes, len, ZSOCK_MSG_DONTWAIT);
	} while (n < 0 && try_again(&socket, 1, deadline));

	return n;
}

/*
 * Like rust_websocket_send(). Where a plain socket fails with EAGAIN it has taken nothing; a TLS
 * socket has then encrypted the bytes, and only wants to be called again with as many. The caller
 * may have something else to send by then, as none of its bytes was taken. Hence:
 *
 * - Of a short record, as every control frame is, one byte is told at once. The caller then has to
 *   send the rest of the frame, and hears that it was taken when the record has left. What the call
 *   that completes it is given does not matter: the record is there.
 * - Of a long one nothing is told, as only data is so long, and is sent again as it was.
 *
 * sendmsg() is not used: for TLS it can fail after having sent the first of its parts.
 */
int rust_websocket_tls_send(int fd, struct rust_websocket_tls_output *output, const void *head,
			    size_t head_len, const void *payload, size_t payload_len,
			    int64_t deadline)
{
	uint8_t joined[TLS_JOINED_SIZE];
	const void *bytes = payload;
	size_t len;
	ssize_t n;

	if (head_len == 0 && payload_len == 0) {
		return 0;
	}

	if (output->waiting > 0 && output->waiting <= sizeof(joined)) {
		memset(joined, 0, sizeof(joined));
		n = send_record(fd, joined, output->waiting, deadline);
		if (n < 0) {
			return failure(errno);
		}
		output->untold = n - (output->waiting > 1);
		output->waiting = 0;
	}

	if (output->untold > 0) {
		len = MIN(output->untold, head_len + MIN(payload_len, INT_MAX / 2));
		output->untold -= len;
		return (int)len;
	}

	if (head_len > 0 || payload_len <= sizeof(joined)) {
		size_t head_part = MIN(head_len, sizeof(joined));
		size_t payload_part = MIN(payload_len, sizeof(joined) - head_part);

		memcpy(joined, head, head_part);
		memcpy(&joined[head_part], payload, payload_part);
		bytes = joined;
		len = head_part + payload_part;
	} else {
		len = MIN(payload_len, INT_MAX / 2);
	}

	if (output->waiting > 0) {
		if (len < output->waiting) {
			/* Not what was to be sent again. */
			return failure(EINVAL);
		}
		len = output->waiting;
	}

	n = send_record(fd, bytes, len, deadline);
	if (n >= 0) {
		output->waiting = 0;
		return (int)n;
	}

	if (errno != EAGAIN) {
		return failure(errno);
	}

	output->waiting = len;

	return bytes == joined && len > 1 ? 1 : failure(EAGAIN);
}
#endif /* CONFIG_NET_SOCKETS_SOCKOPT_TLS */

int rust_websocket_set_nodelay(int fd, bool on)
{
	return set_option(fd, IPPROTO_TCP, TCP_NODELAY, on) < 0 ? failure(errno) : 0;
}

/* 0 seconds turn it off. */
int rust_websocket_set_keepalive(int fd, int idle_s, int interval_s, int count)
{
	return set_keepalive(fd, idle_s, interval_s, count) < 0 ? failure(errno) : 0;
}

/* src/zephyr/ffi.rs has the same. */
struct rust_websocket_address {
	uint8_t ip[16];
	uint32_t scope_id;
	uint16_t port;
};

/* Returns how many bytes the address has, 4 or 16. */
int rust_websocket_peer(int fd, struct rust_websocket_address *address)
{
	struct sockaddr_storage storage;
	socklen_t storage_len = sizeof(storage);

	if (zsock_getpeername(fd, (struct sockaddr *)&storage, &storage_len) < 0) {
		return failure(errno);
	}

	*address = (struct rust_websocket_address){0};
	if (IS_ENABLED(CONFIG_NET_IPV6) && storage.ss_family == AF_INET6) {
		const struct sockaddr_in6 *peer = (const struct sockaddr_in6 *)&storage;

		memcpy(address->ip, &peer->sin6_addr, sizeof(address->ip));
		address->scope_id = peer->sin6_scope_id;
		address->port = ntohs(peer->sin6_port);
		return sizeof(struct in6_addr);
	}

	if (storage.ss_family == AF_INET) {
		const struct sockaddr_in *peer = (const struct sockaddr_in *)&storage;

		memcpy(address->ip, &peer->sin_addr, sizeof(struct in_addr));
		address->port = ntohs(peer->sin_port);
		return sizeof(struct in_addr);
	}

	return failure(EAFNOSUPPORT);
}

/* Whether neither an error nor the end of the connection is known. */
bool rust_websocket_is_connected(int fd)
{
	struct zsock_pollfd socket = {.fd = fd, .events = ZSOCK_POLLOUT};

	return poll_sockets(&socket, 1, 0) >= 0 &&
	       (socket.revents & (ZSOCK_POLLERR | ZSOCK_POLLHUP | ZSOCK_POLLNVAL)) == 0;
}

int rust_websocket_shutdown(int fd)
{
	return zsock_shutdown(fd, ZSOCK_SHUT_WR) < 0 ? failure(errno) : 0;
}

int rust_websocket_close(int fd)
{
	return zsock_close(fd) < 0 ? failure(errno) : 0;
}

/*
 * Whether a read of a TLS socket that poll() does not call readable would not wait. Where the socket
 * below is offloaded, poll() is blind to the end of a stream that the peer did not announce
 * (close_notify), and ends early instead.
 */
static bool is_tls_readable(int fd)
{
#if defined(CONFIG_NET_SOCKETS_SOCKOPT_TLS) && defined(CONFIG_NET_SOCKETS_OFFLOAD)
	uint8_t nothing;

	return rust_websocket_is_tls(fd) && zsock_recv(fd, &nothing, 0, ZSOCK_MSG_DONTWAIT) == 0;
#else
	ARG_UNUSED(fd);

	return false;
#endif
}

static bool is_watched(const struct rust_websocket_poll *socket)
{
	return socket->fd >= 0 && (socket->interest & (READ | WRITE)) != 0;
}

/*
 * Waits until a socket is ready for what it is asked for, or the deadline is over, and returns how
 * many are. A socket that failed or was ended is ready for whatever is asked, so that the caller's
 * read or write learns it; one that nothing is asked of is not looked at.
 */
int rust_websocket_poll(struct rust_websocket_poll *sockets, int count, int64_t deadline)
{
	/* Without gaps: poll() of offloaded TLS sockets does not allow a negative descriptor first. */
	struct zsock_pollfd polled[CONFIG_ZVFS_POLL_MAX];
	int polled_count = 0;
	int ready_count = 0;
	int n;

	for (int i = 0; i < count; i++) {
		uint8_t interest = sockets[i].interest;

		if (!is_watched(&sockets[i])) {
			continue;
		}

		if (polled_count == ARRAY_SIZE(polled)) {
			return failure_of(CAUSE_POLL_MAX, 0);
		}

		polled[polled_count].fd = sockets[i].fd;
		polled[polled_count].events = ((interest & READ) != 0 ? ZSOCK_POLLIN : 0) |
					      ((interest & WRITE) != 0 ? ZSOCK_POLLOUT : 0);
		polled_count++;
	}

	do {
		int left = timeout_ms(deadline);

		/* Sees nothing if it does not wait, as the PC's events come as interrupts. */
		if (IS_ENABLED(CONFIG_NET_NATIVE_OFFLOADED_SOCKETS) && left == 0) {
			left = 1;
		}
		n = zsock_poll(polled, polled_count, left);
		for (int i = 0; n >= 0 && i < polled_count; i++) {
			if ((polled[i].events & ZSOCK_POLLIN) != 0 &&
			    (polled[i].revents & ZSOCK_POLLIN) == 0 &&
			    is_tls_readable(polled[i].fd)) {
				n += polled[i].revents == 0;
				polled[i].revents |= ZSOCK_POLLIN;
			}
		}
	} while ((n < 0 && errno == EINTR) || (n == 0 && timeout_ms(deadline) != 0));

	if (n < 0) {
		/* Zephyr's own stack counts a socket twice that is watched for both. */
		return errno == ENOMEM ? failure_of(CAUSE_POLL_MAX, 0) : failure(errno);
	}

	polled_count = 0;
	for (int i = 0; i < count; i++) {
		short revents;

		sockets[i].ready = 0;
		if (!is_watched(&sockets[i])) {
			continue;
		}

		revents = n > 0 ? polled[polled_count].revents : 0;
		polled_count++;
		if ((revents & (ZSOCK_POLLERR | ZSOCK_POLLHUP | ZSOCK_POLLNVAL)) != 0) {
			revents = ZSOCK_POLLIN | ZSOCK_POLLOUT;
		}

		sockets[i].ready = sockets[i].interest &
				   (((revents & ZSOCK_POLLIN) != 0 ? READ : 0) |
				    ((revents & ZSOCK_POLLOUT) != 0 ? WRITE : 0));
		ready_count += sockets[i].ready != 0;
	}

	return ready_count;
}
