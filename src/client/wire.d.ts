// Generated from the catalogue: UPDATE=1 cargo test --test schema.

/** Confirms an action that has no other answer. */
export interface AckFrame {
  /** The action or route that was carried out. */
  action: string;
  createdAt?: string;
  duplicate?: boolean;
  messageId?: string;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId?: string;
  seq?: number;
  type: "ack";
}

/** What became of the users that a moderator added. */
export interface AddedFrame {
  /** Those who are members now. */
  added: Array<string>;
  /** Those who are asked, and become members when they join. */
  invited: Array<string>;
  refused: Array<{
    code: string;
    userId: string;
  }>;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId: string;
  type: "added";
}

/** A page of the record of a day. Over HTTP only. */
export interface AuditFrame {
  day: string;
  items: Array<{
    /** The action or route. */
    action: string;
    /** When, in ISO 8601. */
    at: string;
    /** The user, or the ARN of a backend. */
    by: string;
    detail?: string;
    roomId?: string;
    sourceIp?: string;
    userId?: string;
  }>;
  nextCursor?: string;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  type: "audit";
}

/** A page of the users whom the caller has blocked. */
export interface BlockedFrame {
  items: Array<string>;
  nextCursor?: string;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  type: "blocked";
}

/** The live connections of a user. Over HTTP only. */
export interface ConnectionsFrame {
  items: Array<{
    /** When its session ends. */
    authUntil?: string;
    connectedAt: string;
    connectionId: string;
    format: string;
  }>;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  type: "connections";
  userId: string;
}

/** Messages were deleted. */
export interface DeletedFrame {
  deletedAt: string;
  deletedBy: string;
  reason?: string;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  /** The position in the room's log of changes. */
  rev: number;
  roomId: string;
  seqs: Array<number>;
  type: "deleted";
  /** They had been deleted before: others may have been deleted by the same change. */
  unchanged?: boolean;
}

/** A user whose tokens were revoked. Over HTTP only. */
export interface DisconnectedFrame {
  /** Until then the user is refused. */
  blockUntil?: string;
  /** How many connections were closed. */
  connections: number;
  /** Tokens that were issued before are refused. */
  notBefore: string;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  type: "disconnected";
  userId: string;
}

/** A message was edited. */
export interface EditedFrame {
  content: string;
  editedAt?: string;
  editedBy: string;
  messageId: string;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  /** The position in the room's log of changes. */
  rev?: number;
  roomId: string;
  seq: number;
  type: "edited";
  /** Nothing has changed: it had this content already, or the request is a repeat. */
  unchanged?: boolean;
  /** How many times it was edited. */
  version: number;
}

/** How far the erasure of a user is. Over HTTP only. */
export interface ErasureFrame {
  /** How many of each kind went: `messages`, `files`, `reactions`, `mentions`, `memberships`, `invitations`,
`invites`, `blocks`, `exports`, `reports` and `acts` of moderation, whose addresses went. */
  erased: Record<string, number>;
  finishedAt?: string;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  startedAt?: string;
  /** Whether a work that takes several invocations is done. */
  status: "running" | "done" | "none";
  type: "erasure";
  userId: string;
}

/** A request or an upload failed. */
export interface ErrorFrame {
  action?: string;
  /** The actions that exist. */
  actions?: Array<string>;
  code: string;
  /** The message as it is now, where a change was made to an earlier state of it. */
  current?: {
    chatRoomId?: string;
    /** The sender's idempotency key. Only the sender receives it. */
    clientMessageId?: string;
    /** Absent if the message was deleted. */
    content?: string;
    createdAt: string;
    /** The object that the sender attached. */
    data?: Record<string, unknown>;
    /** The deletion of a message: its content is gone. */
    deleted?: {
      at: string;
      by: string;
      reason?: string;
    };
    duplicate?: boolean;
    editedAt?: string;
    /** The file of a message. */
    file?: {
      contentType: string;
      fileId: string;
      fileName: string;
      /** Its address for members. Empty in rows, which never have it: the deployment's address may change. */
      fileUrl?: string;
      /** In bytes. */
      size: number;
    };
    fileUrl?: string;
    id?: string;
    /** Whether the sender mentions everybody in the room. */
    mentionRoom?: boolean;
    /** The users whom the sender mentions. */
    mentions?: Array<string>;
    messageId: string;
    /** Whether the name is that of the user's token. */
    nameVerified?: boolean;
    /** To the sender: users who were named and are not in the room, or have blocked the sender. */
    notMentioned?: Array<string>;
    /** The message that it replies to. */
    parent?: {
      deleted?: boolean;
      /** The beginning of its content: at most 140 characters. */
      excerpt: string;
      seq: number;
      userId: string;
      userName: string;
    };
    pinned?: boolean;
    /** How many users reacted, by emoji. */
    reactions?: Record<string, number>;
    /** The message that it replies to. */
    replyTo?: number;
    /** The last change of the message. */
    rev?: number;
    roomId: string;
    senderId?: string;
    seq: number;
    /** What a moderator changed: `content` says it in words. */
    system?: {
      /** The mode of the room from now on. */
      mode?: {
        /** For how many seconds after it was sent a message can be edited; absent: 86,400. */
        editWindowSeconds?: number;
        /** How many messages the room takes in a second; absent: any number. */
        maxPerSecond?: number;
        /** Who may do something in a room. */
        react?: "members" | "admins";
        /** Whether something is done. */
        review?: "on" | "off";
        /** How many seconds a member waits after a message before the next one. Owners and admins do not wait. */
        slowSeconds?: number;
        /** Who may do something in a room. */
        write?: "members" | "admins";
      };
      /** The name of the room from now on. */
      roomName?: string;
      /** `mode`, `renamed`, or a kind of a later version of the server. */
      what: string;
    };
    text?: string;
    timestamp?: string;
    /** A color, as clients understand it. */
    userColor?: string;
    /** The address of an avatar. */
    userIcon?: string;
    userId: string;
    userName: string;
    username?: string;
    /** How many times it was edited; absent: never. */
    version?: number;
  };
  /** The field at fault. */
  field?: string;
  /** The file that the failure is about. */
  fileId?: string;
  /** The message at fault, of several: its place in `messages`, from 0. */
  index?: number;
  message: string;
  /** Why the review did not accept a text. */
  reason?: string;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  /** When the same request can succeed, in milliseconds from now. */
  retryAfterMs?: number;
  /** The rate limit that refuses the request. */
  scope?: string;
  status: number;
  type: "error";
}

/** How far an export of a user is, and where it is. Over HTTP only. */
export interface ExportFrame {
  /** Until when these can be used. */
  expiresAt?: string;
  exportId: string;
  finishedAt?: string;
  /** How many lines of each type it has. */
  lines: Record<string, number>;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  startedAt?: string;
  /** Whether a work that takes several invocations is done. */
  status: "running" | "done" | "none";
  type: "export";
  /** Signed addresses of its parts, once it is done: together they are one file of JSON lines. */
  urls?: Array<string>;
  userId: string;
}

/** A presigned URL to download a file. */
export interface FileFrame {
  contentType: string;
  expiresAt: string;
  fileId: string;
  fileName: string;
  /** Its address for members. Empty in rows, which never have it: the deployment's address may change. */
  fileUrl?: string;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  /** In bytes. */
  size: number;
  type: "file";
}

/** A page of the messages that contain a text. */
export interface FoundFrame {
  /** Whether there is more to search: a page may be empty all the same. */
  hasMore: boolean;
  items: Array<{
    chatRoomId?: string;
    /** The sender's idempotency key. Only the sender receives it. */
    clientMessageId?: string;
    /** Absent if the message was deleted. */
    content?: string;
    createdAt: string;
    /** The object that the sender attached. */
    data?: Record<string, unknown>;
    /** The deletion of a message: its content is gone. */
    deleted?: {
      at: string;
      by: string;
      reason?: string;
    };
    duplicate?: boolean;
    editedAt?: string;
    /** The file of a message. */
    file?: {
      contentType: string;
      fileId: string;
      fileName: string;
      /** Its address for members. Empty in rows, which never have it: the deployment's address may change. */
      fileUrl?: string;
      /** In bytes. */
      size: number;
    };
    fileUrl?: string;
    id?: string;
    /** Whether the sender mentions everybody in the room. */
    mentionRoom?: boolean;
    /** The users whom the sender mentions. */
    mentions?: Array<string>;
    messageId: string;
    /** Whether the name is that of the user's token. */
    nameVerified?: boolean;
    /** To the sender: users who were named and are not in the room, or have blocked the sender. */
    notMentioned?: Array<string>;
    /** The message that it replies to. */
    parent?: {
      deleted?: boolean;
      /** The beginning of its content: at most 140 characters. */
      excerpt: string;
      seq: number;
      userId: string;
      userName: string;
    };
    pinned?: boolean;
    /** How many users reacted, by emoji. */
    reactions?: Record<string, number>;
    /** The message that it replies to. */
    replyTo?: number;
    /** The last change of the message. */
    rev?: number;
    roomId: string;
    senderId?: string;
    seq: number;
    /** What a moderator changed: `content` says it in words. */
    system?: {
      /** The mode of the room from now on. */
      mode?: {
        /** For how many seconds after it was sent a message can be edited; absent: 86,400. */
        editWindowSeconds?: number;
        /** How many messages the room takes in a second; absent: any number. */
        maxPerSecond?: number;
        /** Who may do something in a room. */
        react?: "members" | "admins";
        /** Whether something is done. */
        review?: "on" | "off";
        /** How many seconds a member waits after a message before the next one. Owners and admins do not wait. */
        slowSeconds?: number;
        /** Who may do something in a room. */
        write?: "members" | "admins";
      };
      /** The name of the room from now on. */
      roomName?: string;
      /** `mode`, `renamed`, or a kind of a later version of the server. */
      what: string;
    };
    text?: string;
    timestamp?: string;
    type: "message";
    /** A color, as clients understand it. */
    userColor?: string;
    /** The address of an avatar. */
    userIcon?: string;
    userId: string;
    userName: string;
    username?: string;
    /** How many times it was edited; absent: never. */
    version?: number;
  }>;
  /** Where to go on: the next `before`. */
  nextBefore?: number;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId: string;
  type: "found";
}

/** The function is healthy. Over HTTP only. */
export interface HealthFrame {
  status: string;
  type: "health";
}

/** The caller's identity and the limits. */
export interface HelloFrame {
  /** When the connection ends because its token expires. Absent over HTTP and without tokens. */
  authUntil?: string;
  /** Absent over HTTP. */
  connectionId?: string;
  format: string;
  /** The limits of this deployment. */
  limits: {
    changesPerSecond?: number;
    connectionsPerMinute?: number;
    /** Most bytes of UTF-8 in the content of a message. */
    contentBytes: number;
    /** Most bytes of a file. */
    fileBytes: number;
    /** Most bytes of a frame. */
    frameBytes: number;
    framesBurst?: number;
    framesPerSecond?: number;
    invitesPerHour?: number;
    /** Above it the oldest connection is closed. */
    liveConnections?: number;
    messagesBurst?: number;
    messagesPerSecond?: number;
    /** Most rooms that a user can be in. */
    rooms: number;
    roomsPerHour?: number;
    typingPerSecond?: number;
    uploadsPerHour?: number;
  };
  /** Whether there is a room that everybody is in. */
  lobby: boolean;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  /** The roles of the token that count here. */
  roles: Array<string>;
  serverTime: string;
  type: "hello";
  userId: string;
  userName: string;
}

/** An invite into a private room. Over HTTP only. */
export interface InviteFrame {
  expiresAt: string;
  invite: string;
  maxUses: number;
  roomId: string;
  type: "invite";
}

/** A member invites the user into a room. */
export interface InvitedFrame {
  at: string;
  /** Who invites. */
  by: string;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId: string;
  roomName?: string;
  type: "invited";
}

/** A page of the invites into a room that can be used. */
export interface InvitesFrame {
  items: Array<{
    createdBy: string;
    expiresAt: string;
    invite: string;
    usesLeft: number;
  }>;
  nextCursor?: string;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId: string;
  type: "invites";
}

/** A user joined a room. */
export interface JoinedFrame {
  chatRoomId?: string;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId: string;
  type: "joined";
  userId: string;
  userName: string;
}

/** A user left a room or was removed. */
export interface LeftFrame {
  chatRoomId?: string;
  /** Why a user is no longer a member of a room. */
  reason: "left" | "removed" | "banned";
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId: string;
  type: "left";
  userId: string;
}

/** A message of a room. */
export interface MessageFrame {
  chatRoomId?: string;
  /** The sender's idempotency key. Only the sender receives it. */
  clientMessageId?: string;
  /** Absent if the message was deleted. */
  content?: string;
  createdAt: string;
  /** The object that the sender attached. */
  data?: Record<string, unknown>;
  /** The deletion of a message: its content is gone. */
  deleted?: {
    at: string;
    by: string;
    reason?: string;
  };
  duplicate?: boolean;
  editedAt?: string;
  /** The file of a message. */
  file?: {
    contentType: string;
    fileId: string;
    fileName: string;
    /** Its address for members. Empty in rows, which never have it: the deployment's address may change. */
    fileUrl?: string;
    /** In bytes. */
    size: number;
  };
  fileUrl?: string;
  id?: string;
  /** Whether the sender mentions everybody in the room. */
  mentionRoom?: boolean;
  /** The users whom the sender mentions. */
  mentions?: Array<string>;
  messageId: string;
  /** Whether the name is that of the user's token. */
  nameVerified?: boolean;
  /** To the sender: users who were named and are not in the room, or have blocked the sender. */
  notMentioned?: Array<string>;
  /** The message that it replies to. */
  parent?: {
    deleted?: boolean;
    /** The beginning of its content: at most 140 characters. */
    excerpt: string;
    seq: number;
    userId: string;
    userName: string;
  };
  pinned?: boolean;
  /** How many users reacted, by emoji. */
  reactions?: Record<string, number>;
  /** The message that it replies to. */
  replyTo?: number;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  /** The last change of the message. */
  rev?: number;
  roomId: string;
  senderId?: string;
  seq: number;
  /** What a moderator changed: `content` says it in words. */
  system?: {
    /** The mode of the room from now on. */
    mode?: {
      /** For how many seconds after it was sent a message can be edited; absent: 86,400. */
      editWindowSeconds?: number;
      /** How many messages the room takes in a second; absent: any number. */
      maxPerSecond?: number;
      /** Who may do something in a room. */
      react?: "members" | "admins";
      /** Whether something is done. */
      review?: "on" | "off";
      /** How many seconds a member waits after a message before the next one. Owners and admins do not wait. */
      slowSeconds?: number;
      /** Who may do something in a room. */
      write?: "members" | "admins";
    };
    /** The name of the room from now on. */
    roomName?: string;
    /** `mode`, `renamed`, or a kind of a later version of the server. */
    what: string;
  };
  text?: string;
  timestamp?: string;
  type: "message";
  /** A color, as clients understand it. */
  userColor?: string;
  /** The address of an avatar. */
  userIcon?: string;
  userId: string;
  userName: string;
  username?: string;
  /** How many times it was edited; absent: never. */
  version?: number;
}

/** A page of a room's history. */
export interface MessagesFrame {
  /** As in `room`. */
  epoch: string;
  hasMore: boolean;
  items: Array<{
    chatRoomId?: string;
    /** The sender's idempotency key. Only the sender receives it. */
    clientMessageId?: string;
    /** Absent if the message was deleted. */
    content?: string;
    createdAt: string;
    /** The object that the sender attached. */
    data?: Record<string, unknown>;
    /** The deletion of a message: its content is gone. */
    deleted?: {
      at: string;
      by: string;
      reason?: string;
    };
    duplicate?: boolean;
    editedAt?: string;
    /** The file of a message. */
    file?: {
      contentType: string;
      fileId: string;
      fileName: string;
      /** Its address for members. Empty in rows, which never have it: the deployment's address may change. */
      fileUrl?: string;
      /** In bytes. */
      size: number;
    };
    fileUrl?: string;
    id?: string;
    /** Whether the sender mentions everybody in the room. */
    mentionRoom?: boolean;
    /** The users whom the sender mentions. */
    mentions?: Array<string>;
    messageId: string;
    /** Whether the name is that of the user's token. */
    nameVerified?: boolean;
    /** To the sender: users who were named and are not in the room, or have blocked the sender. */
    notMentioned?: Array<string>;
    /** The message that it replies to. */
    parent?: {
      deleted?: boolean;
      /** The beginning of its content: at most 140 characters. */
      excerpt: string;
      seq: number;
      userId: string;
      userName: string;
    };
    pinned?: boolean;
    /** How many users reacted, by emoji. */
    reactions?: Record<string, number>;
    /** The message that it replies to. */
    replyTo?: number;
    /** The last change of the message. */
    rev?: number;
    roomId: string;
    senderId?: string;
    seq: number;
    /** What a moderator changed: `content` says it in words. */
    system?: {
      /** The mode of the room from now on. */
      mode?: {
        /** For how many seconds after it was sent a message can be edited; absent: 86,400. */
        editWindowSeconds?: number;
        /** How many messages the room takes in a second; absent: any number. */
        maxPerSecond?: number;
        /** Who may do something in a room. */
        react?: "members" | "admins";
        /** Whether something is done. */
        review?: "on" | "off";
        /** How many seconds a member waits after a message before the next one. Owners and admins do not wait. */
        slowSeconds?: number;
        /** Who may do something in a room. */
        write?: "members" | "admins";
      };
      /** The name of the room from now on. */
      roomName?: string;
      /** `mode`, `renamed`, or a kind of a later version of the server. */
      what: string;
    };
    text?: string;
    timestamp?: string;
    type: "message";
    /** A color, as clients understand it. */
    userColor?: string;
    /** The address of an avatar. */
    userIcon?: string;
    userId: string;
    userName: string;
    username?: string;
    /** How many times it was edited; absent: never. */
    version?: number;
  }>;
  /** The cursor of the page after this one. */
  nextAfter?: number;
  /** The cursor of the page before this one. */
  nextBefore?: number;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  /** The position of the room's last change when the page was read: later changes may be in it too. */
  rev: number;
  roomId: string;
  type: "messages";
}

/** Rooms near a location. Over HTTP only. */
export interface NearFrame {
  nextCursor?: string;
  rooms: Array<{
    autoClose: boolean;
    chatRoomId?: string;
    createdAt: string;
    creator: string;
    /** Metres. */
    distance: number;
    /** Changes when the log begins again: the room was made again under an old id, or restored from a backup. */
    epoch: string;
    id?: string;
    /** Epoch milliseconds, unlike every other time. */
    lastActivity: number;
    /** Absent in search results. */
    lastSeq?: number;
    /** A location on earth. */
    location?: {
      latitude: number;
      longitude: number;
    };
    maxParticipants?: number;
    /** The participants in full: `participants` are their ids. */
    members?: Array<{
      joinedAt: string;
      online: boolean;
      /** What a member may do in a room. */
      role: "owner" | "admin" | "member";
      userId: string;
      userName: string;
    }>;
    /** Absent while it is that of a new room. */
    mode?: {
      /** For how many seconds after it was sent a message can be edited; absent: 86,400. */
      editWindowSeconds?: number;
      /** How many messages the room takes in a second; absent: any number. */
      maxPerSecond?: number;
      /** Who may do something in a room. */
      react?: "members" | "admins";
      /** Whether something is done. */
      review?: "on" | "off";
      /** How many seconds a member waits after a message before the next one. Owners and admins do not wait. */
      slowSeconds?: number;
      /** Who may do something in a room. */
      write?: "members" | "admins";
    };
    nextCursor?: string;
    /** Users, not connections. Absent in search results. */
    onlineCount?: number;
    /** Whether more users may be online: in large rooms not all connections are read. */
    onlineMore?: boolean;
    participantCount: number;
    /** The participants of a room: in full, or their ids only. */
    participants?: Array<{
      joinedAt: string;
      online: boolean;
      /** What a member may do in a room. */
      role: "owner" | "admin" | "member";
      userId: string;
      userName: string;
    }> | Array<string>;
    /** Metres. */
    radius?: number;
    roadName?: string;
    roomId: string;
    roomName?: string;
    /** Who can join a room. */
    roomType: "public" | "private" | "direct";
    /** Whether a room takes members and messages. */
    status: "active" | "closed";
  }>;
  type: "near";
}

/** The user changed, on another device, what they want to be told of. */
export interface NotifyFrame {
  /** Which messages a user wants to be told of. */
  level: "all" | "none" | "mentions";
  mutedUntil?: string;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId: string;
  type: "notify";
}

/** A message was pinned. */
export interface PinnedFrame {
  by: string;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  /** The position in the room's log of changes. */
  rev?: number;
  roomId: string;
  seq: number;
  type: "pinned";
  /** Nothing has changed: it was pinned before. */
  unchanged?: boolean;
}

/** The pinned messages of a room. */
export interface PinsFrame {
  /** The last one pinned first. */
  items: Array<{
    chatRoomId?: string;
    /** The sender's idempotency key. Only the sender receives it. */
    clientMessageId?: string;
    /** Absent if the message was deleted. */
    content?: string;
    createdAt: string;
    /** The object that the sender attached. */
    data?: Record<string, unknown>;
    /** The deletion of a message: its content is gone. */
    deleted?: {
      at: string;
      by: string;
      reason?: string;
    };
    duplicate?: boolean;
    editedAt?: string;
    /** The file of a message. */
    file?: {
      contentType: string;
      fileId: string;
      fileName: string;
      /** Its address for members. Empty in rows, which never have it: the deployment's address may change. */
      fileUrl?: string;
      /** In bytes. */
      size: number;
    };
    fileUrl?: string;
    id?: string;
    /** Whether the sender mentions everybody in the room. */
    mentionRoom?: boolean;
    /** The users whom the sender mentions. */
    mentions?: Array<string>;
    messageId: string;
    /** Whether the name is that of the user's token. */
    nameVerified?: boolean;
    /** To the sender: users who were named and are not in the room, or have blocked the sender. */
    notMentioned?: Array<string>;
    /** The message that it replies to. */
    parent?: {
      deleted?: boolean;
      /** The beginning of its content: at most 140 characters. */
      excerpt: string;
      seq: number;
      userId: string;
      userName: string;
    };
    pinned?: boolean;
    /** How many users reacted, by emoji. */
    reactions?: Record<string, number>;
    /** The message that it replies to. */
    replyTo?: number;
    /** The last change of the message. */
    rev?: number;
    roomId: string;
    senderId?: string;
    seq: number;
    /** What a moderator changed: `content` says it in words. */
    system?: {
      /** The mode of the room from now on. */
      mode?: {
        /** For how many seconds after it was sent a message can be edited; absent: 86,400. */
        editWindowSeconds?: number;
        /** How many messages the room takes in a second; absent: any number. */
        maxPerSecond?: number;
        /** Who may do something in a room. */
        react?: "members" | "admins";
        /** Whether something is done. */
        review?: "on" | "off";
        /** How many seconds a member waits after a message before the next one. Owners and admins do not wait. */
        slowSeconds?: number;
        /** Who may do something in a room. */
        write?: "members" | "admins";
      };
      /** The name of the room from now on. */
      roomName?: string;
      /** `mode`, `renamed`, or a kind of a later version of the server. */
      what: string;
    };
    text?: string;
    timestamp?: string;
    type: "message";
    /** A color, as clients understand it. */
    userColor?: string;
    /** The address of an avatar. */
    userIcon?: string;
    userId: string;
    userName: string;
    username?: string;
    /** How many times it was edited; absent: never. */
    version?: number;
  }>;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  /** As in `messages`. */
  rev: number;
  roomId: string;
  type: "pins";
}

/** The answer to `ping`. */
export interface PongFrame {
  /** Repeated on the answer to this frame. */
  requestId?: string;
  type: "pong";
}

/** What became of a backend's message. Over HTTP only. */
export interface PostedFrame {
  /** Repeated on the answer to this frame. */
  requestId?: string;
  /** The rooms first, then the users, each in the order of the request. */
  results: Array<{
    code?: string;
    createdAt?: string;
    duplicate?: boolean;
    message?: string;
    messageId?: string;
    /** When the same request can succeed, in milliseconds from now. */
    retryAfterMs?: number;
    roomId?: string;
    seq?: number;
    status?: number;
    /** The user of a direct conversation. */
    userId?: string;
  }>;
  type: "posted";
}

/** A user came online or went offline. */
export interface PresenceFrame {
  /** The newest one of a user counts. */
  at: string;
  chatRoomId?: string;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId: string;
  /** Whether a user has a live connection to a room. */
  status: "online" | "offline";
  type: "presence";
  /** When the user counts as offline unless told again; absent if they are offline. */
  until?: string;
  userId: string;
}

/** The users who reacted to a message. */
export interface ReactedFrame {
  /** At most 100, in the order of their ids. */
  items: Array<{
    emojis: Array<string>;
    userId: string;
  }>;
  nextCursor?: string;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId: string;
  seq: number;
  type: "reacted";
}

/** A user reacted to a message, or took a reaction back. */
export interface ReactionsFrame {
  /** A reaction of a user. */
  by: {
    emoji: string;
    /** `false`: the reaction was taken back. */
    on: boolean;
    userId: string;
  };
  /** How many users reacted, by emoji. */
  counts: Record<string, number>;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  /** The position in the room's log of changes. */
  rev?: number;
  roomId: string;
  seq: number;
  type: "reactions";
  /** Nothing has changed: the request is a repeat. */
  unchanged?: boolean;
}

/** A member's read position. */
export interface ReadFrame {
  /** The newest one of a user counts. */
  at: string;
  chatRoomId?: string;
  /** To the reader's own devices, when the mark was set back: it goes with later `markRead`s. */
  readVersion?: number;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId: string;
  seq: number;
  type: "read";
  userId: string;
}

/** A page of the reports of a room's messages. Over HTTP only. */
export interface ReportsFrame {
  items: Array<{
    at: string;
    /** Who reported it. */
    by: string;
    content: string;
    createdAt: string;
    reason: string;
    seq: number;
    /** Who sent it. */
    userId: string;
  }>;
  nextCursor?: string;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId: string;
  type: "reports";
}

/** A stranger began a direct conversation. */
export interface RequestFrame {
  at: string;
  /** The stranger. */
  by: string;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId: string;
  type: "request";
  userName?: string;
}

/** The messages missed in several rooms. */
export interface ResumedFrame {
  /** Rooms that were not read, to be asked for again: in `rooms` they are empty and not complete. */
  more?: Array<string>;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  rooms: Record<string, {
    /** Each message up to the given `seq` that changed after the given `rev`, as it is now. */
    changes?: Array<{
      chatRoomId?: string;
      /** The sender's idempotency key. Only the sender receives it. */
      clientMessageId?: string;
      /** Absent if the message was deleted. */
      content?: string;
      createdAt: string;
      /** The object that the sender attached. */
      data?: Record<string, unknown>;
      /** The deletion of a message: its content is gone. */
      deleted?: {
        at: string;
        by: string;
        reason?: string;
      };
      duplicate?: boolean;
      editedAt?: string;
      /** The file of a message. */
      file?: {
        contentType: string;
        fileId: string;
        fileName: string;
        /** Its address for members. Empty in rows, which never have it: the deployment's address may change. */
        fileUrl?: string;
        /** In bytes. */
        size: number;
      };
      fileUrl?: string;
      id?: string;
      /** Whether the sender mentions everybody in the room. */
      mentionRoom?: boolean;
      /** The users whom the sender mentions. */
      mentions?: Array<string>;
      messageId: string;
      /** Whether the name is that of the user's token. */
      nameVerified?: boolean;
      /** To the sender: users who were named and are not in the room, or have blocked the sender. */
      notMentioned?: Array<string>;
      /** The message that it replies to. */
      parent?: {
        deleted?: boolean;
        /** The beginning of its content: at most 140 characters. */
        excerpt: string;
        seq: number;
        userId: string;
        userName: string;
      };
      pinned?: boolean;
      /** How many users reacted, by emoji. */
      reactions?: Record<string, number>;
      /** The message that it replies to. */
      replyTo?: number;
      /** The last change of the message. */
      rev?: number;
      roomId: string;
      senderId?: string;
      seq: number;
      /** What a moderator changed: `content` says it in words. */
      system?: {
        /** The mode of the room from now on. */
        mode?: {
          /** For how many seconds after it was sent a message can be edited; absent: 86,400. */
          editWindowSeconds?: number;
          /** How many messages the room takes in a second; absent: any number. */
          maxPerSecond?: number;
          /** Who may do something in a room. */
          react?: "members" | "admins";
          /** Whether something is done. */
          review?: "on" | "off";
          /** How many seconds a member waits after a message before the next one. Owners and admins do not wait. */
          slowSeconds?: number;
          /** Who may do something in a room. */
          write?: "members" | "admins";
        };
        /** The name of the room from now on. */
        roomName?: string;
        /** `mode`, `renamed`, or a kind of a later version of the server. */
        what: string;
      };
      text?: string;
      timestamp?: string;
      type: "message";
      /** A color, as clients understand it. */
      userColor?: string;
      /** The address of an avatar. */
      userIcon?: string;
      userId: string;
      userName: string;
      username?: string;
      /** How many times it was edited; absent: never. */
      version?: number;
    }>;
    /** Whether there are too many changes to tell, or some have expired: read again what you show. */
    changesReset?: boolean;
    /** Whether the room is closed: no more messages will follow. */
    closed?: boolean;
    /** Whether `items` are all that was missed. */
    complete: boolean;
    /** As in `room`. */
    epoch: string;
    items: Array<{
      chatRoomId?: string;
      /** The sender's idempotency key. Only the sender receives it. */
      clientMessageId?: string;
      /** Absent if the message was deleted. */
      content?: string;
      createdAt: string;
      /** The object that the sender attached. */
      data?: Record<string, unknown>;
      /** The deletion of a message: its content is gone. */
      deleted?: {
        at: string;
        by: string;
        reason?: string;
      };
      duplicate?: boolean;
      editedAt?: string;
      /** The file of a message. */
      file?: {
        contentType: string;
        fileId: string;
        fileName: string;
        /** Its address for members. Empty in rows, which never have it: the deployment's address may change. */
        fileUrl?: string;
        /** In bytes. */
        size: number;
      };
      fileUrl?: string;
      id?: string;
      /** Whether the sender mentions everybody in the room. */
      mentionRoom?: boolean;
      /** The users whom the sender mentions. */
      mentions?: Array<string>;
      messageId: string;
      /** Whether the name is that of the user's token. */
      nameVerified?: boolean;
      /** To the sender: users who were named and are not in the room, or have blocked the sender. */
      notMentioned?: Array<string>;
      /** The message that it replies to. */
      parent?: {
        deleted?: boolean;
        /** The beginning of its content: at most 140 characters. */
        excerpt: string;
        seq: number;
        userId: string;
        userName: string;
      };
      pinned?: boolean;
      /** How many users reacted, by emoji. */
      reactions?: Record<string, number>;
      /** The message that it replies to. */
      replyTo?: number;
      /** The last change of the message. */
      rev?: number;
      roomId: string;
      senderId?: string;
      seq: number;
      /** What a moderator changed: `content` says it in words. */
      system?: {
        /** The mode of the room from now on. */
        mode?: {
          /** For how many seconds after it was sent a message can be edited; absent: 86,400. */
          editWindowSeconds?: number;
          /** How many messages the room takes in a second; absent: any number. */
          maxPerSecond?: number;
          /** Who may do something in a room. */
          react?: "members" | "admins";
          /** Whether something is done. */
          review?: "on" | "off";
          /** How many seconds a member waits after a message before the next one. Owners and admins do not wait. */
          slowSeconds?: number;
          /** Who may do something in a room. */
          write?: "members" | "admins";
        };
        /** The name of the room from now on. */
        roomName?: string;
        /** `mode`, `renamed`, or a kind of a later version of the server. */
        what: string;
      };
      text?: string;
      timestamp?: string;
      type: "message";
      /** A color, as clients understand it. */
      userColor?: string;
      /** The address of an avatar. */
      userIcon?: string;
      userId: string;
      userName: string;
      username?: string;
      /** How many times it was edited; absent: never. */
      version?: number;
    }>;
    lastSeq: number;
    /** The cursor for the rest, if they are not. */
    nextAfter?: number;
    oldestSeq?: number;
    /** Whether some of what was missed has expired, or the position is one of an earlier room of the same id. */
    reset?: boolean;
    /** The position of the room's last change, for the next `resume`. */
    rev: number;
  } | {
    /** Why a room is not resumed, or a message not written. */
    error: {
      code: string;
      message: string;
      /** When the same request can succeed, in milliseconds from now. */
      retryAfterMs?: number;
      status: number;
    };
  }>;
  type: "resumed";
}

/** A room and a page of its participants. */
export interface RoomFrame {
  autoClose: boolean;
  chatRoomId?: string;
  createdAt: string;
  creator: string;
  /** Changes when the log begins again: the room was made again under an old id, or restored from a backup. */
  epoch: string;
  id?: string;
  /** Epoch milliseconds, unlike every other time. */
  lastActivity: number;
  /** Absent in search results. */
  lastSeq?: number;
  /** A location on earth. */
  location?: {
    latitude: number;
    longitude: number;
  };
  maxParticipants?: number;
  /** The participants in full: `participants` are their ids. */
  members?: Array<{
    joinedAt: string;
    online: boolean;
    /** What a member may do in a room. */
    role: "owner" | "admin" | "member";
    userId: string;
    userName: string;
  }>;
  /** Absent while it is that of a new room. */
  mode?: {
    /** For how many seconds after it was sent a message can be edited; absent: 86,400. */
    editWindowSeconds?: number;
    /** How many messages the room takes in a second; absent: any number. */
    maxPerSecond?: number;
    /** Who may do something in a room. */
    react?: "members" | "admins";
    /** Whether something is done. */
    review?: "on" | "off";
    /** How many seconds a member waits after a message before the next one. Owners and admins do not wait. */
    slowSeconds?: number;
    /** Who may do something in a room. */
    write?: "members" | "admins";
  };
  nextCursor?: string;
  /** Users, not connections. Absent in search results. */
  onlineCount?: number;
  /** Whether more users may be online: in large rooms not all connections are read. */
  onlineMore?: boolean;
  participantCount: number;
  /** The participants of a room: in full, or their ids only. */
  participants?: Array<{
    joinedAt: string;
    online: boolean;
    /** What a member may do in a room. */
    role: "owner" | "admin" | "member";
    userId: string;
    userName: string;
  }> | Array<string>;
  /** Metres. */
  radius?: number;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roadName?: string;
  roomId: string;
  roomName?: string;
  /** Who can join a room. */
  roomType: "public" | "private" | "direct";
  /** Whether a room takes members and messages. */
  status: "active" | "closed";
  type: "room";
}

/** A room was closed. */
export interface RoomClosedFrame {
  reason: string;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId: string;
  type: "room-closed";
  /** The user who closed it; absent if it was closed for being idle. */
  userId?: string;
}

/** A page of the caller's rooms. */
export interface RoomsFrame {
  /** On the first page: the first invitations that wait for an answer. */
  invitations?: Array<{
    at: string;
    /** Who invites. */
    by: string;
    roomId: string;
    roomName?: string;
  }>;
  items: Array<{
    autoClose: boolean;
    chatRoomId?: string;
    createdAt: string;
    creator: string;
    /** Changes when the log begins again: the room was made again under an old id, or restored from a backup. */
    epoch: string;
    id?: string;
    /** Epoch milliseconds, unlike every other time. */
    lastActivity: number;
    /** An item of a page of history. */
    lastMessage?: {
      chatRoomId?: string;
      /** The sender's idempotency key. Only the sender receives it. */
      clientMessageId?: string;
      /** Absent if the message was deleted. */
      content?: string;
      createdAt: string;
      /** The object that the sender attached. */
      data?: Record<string, unknown>;
      /** The deletion of a message: its content is gone. */
      deleted?: {
        at: string;
        by: string;
        reason?: string;
      };
      duplicate?: boolean;
      editedAt?: string;
      /** The file of a message. */
      file?: {
        contentType: string;
        fileId: string;
        fileName: string;
        /** Its address for members. Empty in rows, which never have it: the deployment's address may change. */
        fileUrl?: string;
        /** In bytes. */
        size: number;
      };
      fileUrl?: string;
      id?: string;
      /** Whether the sender mentions everybody in the room. */
      mentionRoom?: boolean;
      /** The users whom the sender mentions. */
      mentions?: Array<string>;
      messageId: string;
      /** Whether the name is that of the user's token. */
      nameVerified?: boolean;
      /** To the sender: users who were named and are not in the room, or have blocked the sender. */
      notMentioned?: Array<string>;
      /** The message that it replies to. */
      parent?: {
        deleted?: boolean;
        /** The beginning of its content: at most 140 characters. */
        excerpt: string;
        seq: number;
        userId: string;
        userName: string;
      };
      pinned?: boolean;
      /** How many users reacted, by emoji. */
      reactions?: Record<string, number>;
      /** The message that it replies to. */
      replyTo?: number;
      /** The last change of the message. */
      rev?: number;
      roomId: string;
      senderId?: string;
      seq: number;
      /** What a moderator changed: `content` says it in words. */
      system?: {
        /** The mode of the room from now on. */
        mode?: {
          /** For how many seconds after it was sent a message can be edited; absent: 86,400. */
          editWindowSeconds?: number;
          /** How many messages the room takes in a second; absent: any number. */
          maxPerSecond?: number;
          /** Who may do something in a room. */
          react?: "members" | "admins";
          /** Whether something is done. */
          review?: "on" | "off";
          /** How many seconds a member waits after a message before the next one. Owners and admins do not wait. */
          slowSeconds?: number;
          /** Who may do something in a room. */
          write?: "members" | "admins";
        };
        /** The name of the room from now on. */
        roomName?: string;
        /** `mode`, `renamed`, or a kind of a later version of the server. */
        what: string;
      };
      text?: string;
      timestamp?: string;
      type: "message";
      /** A color, as clients understand it. */
      userColor?: string;
      /** The address of an avatar. */
      userIcon?: string;
      userId: string;
      userName: string;
      username?: string;
      /** How many times it was edited; absent: never. */
      version?: number;
    };
    lastReadSeq: number;
    /** Absent in search results. */
    lastSeq?: number;
    /** A location on earth. */
    location?: {
      latitude: number;
      longitude: number;
    };
    maxParticipants?: number;
    /** The participants in full: `participants` are their ids. */
    members?: Array<{
      joinedAt: string;
      online: boolean;
      /** What a member may do in a room. */
      role: "owner" | "admin" | "member";
      userId: string;
      userName: string;
    }>;
    /** Absent while it is that of a new room. */
    mode?: {
      /** For how many seconds after it was sent a message can be edited; absent: 86,400. */
      editWindowSeconds?: number;
      /** How many messages the room takes in a second; absent: any number. */
      maxPerSecond?: number;
      /** Who may do something in a room. */
      react?: "members" | "admins";
      /** Whether something is done. */
      review?: "on" | "off";
      /** How many seconds a member waits after a message before the next one. Owners and admins do not wait. */
      slowSeconds?: number;
      /** Who may do something in a room. */
      write?: "members" | "admins";
    };
    nextCursor?: string;
    /** Users, not connections. Absent in search results. */
    onlineCount?: number;
    /** Whether more users may be online: in large rooms not all connections are read. */
    onlineMore?: boolean;
    participantCount: number;
    /** The participants of a room: in full, or their ids only. */
    participants?: Array<{
      joinedAt: string;
      online: boolean;
      /** What a member may do in a room. */
      role: "owner" | "admin" | "member";
      userId: string;
      userName: string;
    }> | Array<string>;
    /** Metres. */
    radius?: number;
    /** As in `messages`. */
    rev: number;
    roadName?: string;
    roomId: string;
    roomName?: string;
    /** Who can join a room. */
    roomType: "public" | "private" | "direct";
    /** Whether a room takes members and messages. */
    status: "active" | "closed";
    /** Messages of others after `lastReadSeq`: 99 stands for 99 and more. */
    unread: number;
    unreadMore?: boolean;
  }>;
  nextCursor?: string;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  /** On the first page: the first direct conversations that strangers began. */
  requests?: Array<{
    at: string;
    /** The stranger. */
    by: string;
    roomId: string;
    userName?: string;
  }>;
  type: "rooms";
}

/** The positions of several messages that the caller sent. */
export interface SentFrame {
  /** Users who were named and are not in the room, or have blocked the sender. */
  notMentioned?: Array<string>;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  /** In the order of the request. */
  results: Array<{
    createdAt: string;
    duplicate?: boolean;
    messageId: string;
    seq: number;
  } | {
    code: string;
    message: string;
    /** When the same request can succeed, in milliseconds from now. */
    retryAfterMs?: number;
    status: number;
  }>;
  roomId: string;
  type: "sent";
}

/** A ticket, which lets one handshake in. Over HTTP only. */
export interface TicketFrame {
  expiresAt: string;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  ticket: string;
  type: "ticket";
}

/** A user started or stopped typing. */
export interface TypingFrame {
  /** The action of the sender. */
  action?: string;
  /** The newest one of a user counts. */
  at: string;
  chatRoomId?: string;
  isTyping: boolean;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId: string;
  type: "typing";
  /** When the indicator ends by itself; absent if the user has stopped. */
  until?: string;
  userId: string;
  userName: string;
}

/** A message is no longer pinned. */
export interface UnpinnedFrame {
  by: string;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  /** The position in the room's log of changes. */
  rev?: number;
  roomId: string;
  seq: number;
  type: "unpinned";
  /** Nothing has changed: it was not pinned. */
  unchanged?: boolean;
}

/** What is unread in a page of the caller's conversations. */
export interface UnreadsFrame {
  nextCursor?: string;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  /** On the first page: the first direct conversations that strangers began. */
  requests?: Array<{
    at: string;
    /** The stranger. */
    by: string;
    roomId: string;
    userName?: string;
  }>;
  /** All open ones, in the order of their ids. */
  rooms: Array<{
    /** The newest message, where some are unread: its time and its author. */
    lastAt?: string;
    lastBy?: string;
    lastReadSeq: number;
    lastSeq: number;
    /** How many of them mention the user. */
    mentions: number;
    /** Until when the user wants to be told of nothing. */
    mutedUntil?: string;
    /** Which messages a user wants to be told of. */
    notify: "all" | "none" | "mentions";
    /** How many times the user has set the mark back. */
    readVersion: number;
    /** The position of the room's last change. */
    rev: number;
    roomId: string;
    /** Whether one of them mentions everybody in the room. */
    roomMention?: boolean;
    /** Messages of others after `lastReadSeq`: 99 stands for 99 and more. */
    unread: number;
    /** Whether there may be more. */
    unreadMore?: boolean;
  }>;
  /** Of the rooms in this answer. */
  total: number;
  totalMentions: number;
  type: "unreads";
}

/** A presigned request to upload an announced file. */
export interface UploadFrame {
  expiresAt: string;
  fileId: string;
  /** The headers that the upload must carry, exactly these. */
  headers: Record<string, string>;
  method: string;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  type: "upload";
  uploadUrl: string;
}

export type Frame =
  | AckFrame
  | AddedFrame
  | AuditFrame
  | BlockedFrame
  | ConnectionsFrame
  | DeletedFrame
  | DisconnectedFrame
  | EditedFrame
  | ErasureFrame
  | ErrorFrame
  | ExportFrame
  | FileFrame
  | FoundFrame
  | HealthFrame
  | HelloFrame
  | InviteFrame
  | InvitedFrame
  | InvitesFrame
  | JoinedFrame
  | LeftFrame
  | MessageFrame
  | MessagesFrame
  | NearFrame
  | NotifyFrame
  | PinnedFrame
  | PinsFrame
  | PongFrame
  | PostedFrame
  | PresenceFrame
  | ReactedFrame
  | ReactionsFrame
  | ReadFrame
  | ReportsFrame
  | RequestFrame
  | ResumedFrame
  | RoomFrame
  | RoomClosedFrame
  | RoomsFrame
  | SentFrame
  | TicketFrame
  | TypingFrame
  | UnpinnedFrame
  | UnreadsFrame
  | UploadFrame;

/** Check that the connection is alive. */
export interface PingRequest {
  action: "ping";
  /** Repeated on the answer to this frame. */
  requestId?: string;
}

/** Get the caller's identity and the limits. */
export interface HelloRequest {
  action: "hello";
  /** Repeated on the answer to this frame. */
  requestId?: string;
}

/** Extend the session with a new token of the same user. */
export interface RefreshTokenRequest {
  action: "refreshToken";
  /** Repeated on the answer to this frame. */
  requestId?: string;
  /** A token of the same user. */
  token: string;
}

/** Create a room with its first members. */
export interface CreateRoomRequest {
  action: "createRoom";
  maxParticipants?: number | null;
  members?: Array<string>;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomName?: string | null;
  /** By default public. */
  roomType?: "public" | "private";
}

/** Join a room and receive its messages. */
export interface JoinRoomRequest {
  action: "joinRoom";
  /** Needed for a private room. */
  invite?: string | null;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId: string;
  userColor?: string | null;
  userIcon?: string | null;
  /** The display name. Ignored if the token has one. */
  userName?: string | null;
}

/** Leave a room. */
export interface LeaveRoomRequest {
  action: "leaveRoom";
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId: string;
}

/** Get a room and its participants. */
export interface RoomInfoRequest {
  action: "roomInfo";
  /** The `nextCursor` of the page before. */
  cursor?: string | null;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId: string;
}

/** Close a room: it takes no more messages. */
export interface CloseRoomRequest {
  action: "closeRoom";
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId: string;
}

/** Add users to a room, or invite them. */
export interface AddMembersRequest {
  action: "addMembers";
  /** 1 to 20 users. */
  members: Array<string>;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId: string;
}

/** Refuse an invitation. */
export interface DeclineInviteRequest {
  action: "declineInvite";
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId: string;
}

/** Remove a member from a room. */
export interface RemoveMemberRequest {
  action: "removeMember";
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId: string;
  userId: string;
}

/** Ban a user from a room: they are removed and cannot join again. */
export interface BanMemberRequest {
  action: "banMember";
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId: string;
  userId: string;
}

/** Lift a ban: the user can join again. */
export interface UnbanMemberRequest {
  action: "unbanMember";
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId: string;
  userId: string;
}

/** Change a member's role. */
export interface SetRoleRequest {
  action: "setRole";
  /** Repeated on the answer to this frame. */
  requestId?: string;
  /** What a member may do in a room. */
  role: "owner" | "admin" | "member";
  roomId: string;
  userId: string;
}

/** Set who may write in a room, and how often. */
export interface SetRoomModeRequest {
  action: "setRoomMode";
  /** For how many seconds after it was sent a message can be edited. */
  editWindowSeconds?: number | null;
  /** How many messages the room takes in a second: 1 to 100. */
  maxPerSecond?: number | null;
  /** Who may react to messages. */
  react?: "members" | "admins" | null;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  /** Whether texts are reviewed before they are accepted. */
  review?: "on" | "off" | null;
  roomId: string;
  /** How many seconds a member waits after a message before the next one: 0 to 21,600. */
  slowSeconds?: number | null;
  /** Who may send messages and files. */
  write?: "members" | "admins" | null;
}

/** Give a room another name. */
export interface RenameRoomRequest {
  action: "renameRoom";
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId: string;
  roomName: string;
}

/** Mute a member: they read, and cannot send. */
export interface MuteMemberRequest {
  action: "muteMember";
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId: string;
  /** By default until `unmuteMember`. */
  until?: string | null;
  userId: string;
}

/** Lift a mute: the member can send again. */
export interface UnmuteMemberRequest {
  action: "unmuteMember";
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId: string;
  userId: string;
}

/** Report a message to those who look after the chat. */
export interface ReportMessageRequest {
  action: "reportMessage";
  /** For the moderators: 1 to 500 characters. */
  reason: string;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId: string;
  seq: number;
}

/** List the invites into a private room. */
export interface ListInvitesRequest {
  action: "listInvites";
  /** The `nextCursor` of the page before. */
  cursor?: string | null;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId: string;
}

/** Revoke an invite. */
export interface RevokeInviteRequest {
  action: "revokeInvite";
  invite: string;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId: string;
}

/** Send a message to a room, to a user or to the lobby. */
export interface SendMessageRequest {
  action: "sendMessage";
  /** Idempotency key: a retry with the same id is written once. */
  clientMessageId?: string | null;
  /** 1 byte to 16 KB of UTF-8. */
  content: string;
  /** An object of at most 1 KB, for the clients alone. */
  data?: Record<string, unknown> | null;
  /** Whether it mentions everybody in the room. */
  mentionRoom?: boolean | null;
  /** The users whom it mentions: at most 20. */
  mentions?: Array<string>;
  /** The user of a direct conversation. */
  recipientId?: string | null;
  /** The message that it replies to. */
  replyTo?: number | null;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId?: string | null;
  /** The user of a direct conversation, or `lobby`, or the id of a direct conversation. */
  targetId?: string | null;
  userColor?: string | null;
  userIcon?: string | null;
  /** The display name. Ignored if the token has one. */
  userName?: string | null;
}

/** Send up to 20 messages, in their order. */
export interface SendMessagesRequest {
  action: "sendMessages";
  /** 1 to 20 messages, in their order. */
  messages: Array<{
    /** Idempotency key, another one for each message: a retry with the same id is written once. */
    clientMessageId: string;
    /** 1 byte to 16 KB of UTF-8. */
    content: string;
    /** An object of at most 1 KB, for the clients alone. */
    data?: Record<string, unknown> | null;
    /** Whether it mentions everybody in the room. */
    mentionRoom?: boolean | null;
    /** The users whom it mentions: at most 20 in all messages. */
    mentions?: Array<string>;
    /** The message that it replies to. */
    replyTo?: number | null;
  }>;
  /** The user of a direct conversation. */
  recipientId?: string | null;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId?: string | null;
  /** The user of a direct conversation, or `lobby`, or the id of a direct conversation. */
  targetId?: string | null;
  userColor?: string | null;
  userIcon?: string | null;
  /** The display name. Ignored if the token has one. */
  userName?: string | null;
}

/** Change the content of a message of the caller's own. */
export interface EditMessageRequest {
  action: "editMessage";
  /** Instead of `version`: a retry with the same id is done once. */
  clientMessageId?: string | null;
  /** 1 byte to 16 KB of UTF-8. */
  content: string;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId: string;
  seq: number;
  /** The `version` that is edited: 0 for a message that was never edited. Another version is refused. */
  version?: number | null;
}

/** Delete messages: the caller's own, or as a moderator anybody's. */
export interface DeleteMessageRequest {
  action: "deleteMessage";
  /** For the other members. */
  reason?: string | null;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId: string;
  seq?: number | null;
  /** Instead of `seq`: 1 to 20 messages. */
  seqs?: Array<number> | null;
}

/** React to a message, or take a reaction back. */
export interface ReactRequest {
  action: "react";
  /** 1 to 64 bytes of UTF-8. */
  emoji: string;
  /** By default true; `false` takes the reaction back. */
  on?: boolean | null;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId: string;
  seq: number;
}

/** Get the users who reacted to a message. */
export interface GetReactionsRequest {
  action: "getReactions";
  /** The `nextCursor` of the page before. */
  cursor?: string | null;
  /** Only those who reacted with this one. */
  emoji?: string | null;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId: string;
  seq: number;
}

/** Pin a message in its room. */
export interface PinMessageRequest {
  action: "pinMessage";
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId: string;
  seq: number;
}

/** Unpin a message. */
export interface UnpinMessageRequest {
  action: "unpinMessage";
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId: string;
  seq: number;
}

/** Get the pinned messages of a room. */
export interface ListPinsRequest {
  action: "listPins";
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId: string;
}

/** Send a message to a room, or as an admin to everybody. */
export interface BroadcastMessageRequest {
  action: "broadcastMessage";
  /** Idempotency key: a retry with the same id is written once. */
  clientMessageId?: string | null;
  /** 1 byte to 16 KB of UTF-8. */
  content: string;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  /** Without a room the message goes to everybody. */
  roomId?: string | null;
  userColor?: string | null;
  userIcon?: string | null;
  /** The display name. Ignored if the token has one. */
  userName?: string | null;
}

/** Signal that the caller is typing, or has stopped. */
export interface TypingIndicatorRequest {
  action: "typingIndicator" | "user-typing" | "typing";
  /** Default: true. */
  isTyping?: boolean | null;
  /** The user of a direct conversation. */
  recipientId?: string | null;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId?: string | null;
  /** The user of a direct conversation, or `lobby`, or the id of a direct conversation. */
  targetId?: string | null;
  userColor?: string | null;
  userIcon?: string | null;
  /** The display name. Ignored if the token has one. */
  userName?: string | null;
}

/** Announce a file and get a presigned request to upload it. */
export interface HandleFileUploadRequest {
  action: "handleFileUpload" | "requestUpload";
  contentType: string;
  fileName: string;
  /** The user of a direct conversation. */
  recipientId?: string | null;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId?: string | null;
  /** In base64. */
  sha256?: string | null;
  size: number;
  /** The user of a direct conversation, or `lobby`, or the id of a direct conversation. */
  targetId?: string | null;
}

/** Get a presigned URL to download a file. */
export interface GetFileRequest {
  action: "getFile";
  /** May be followed by the ticket of a link. */
  fileId: string;
  /** Whether browsers show an image instead of saving it. By default they save it. */
  inline?: "1" | "0";
  /** Repeated on the answer to this frame. */
  requestId?: string;
  /** The ticket of a link, as a parameter of its own. */
  t?: string | null;
}

/** Get a page of a conversation's history. */
export interface GetMessagesRequest {
  action: "getMessages";
  /** Messages after this seq. */
  after?: number | null;
  /** Messages before this seq. */
  before?: number | null;
  /** By default 50, at most 100. */
  limit?: number;
  /** The user of a direct conversation. */
  recipientId?: string | null;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId?: string | null;
  /** The user of a direct conversation, or `lobby`, or the id of a direct conversation. */
  targetId?: string | null;
}

/** Search for a text in a room. */
export interface SearchMessagesRequest {
  action: "searchMessages";
  /** Only messages after this seq. */
  after?: number | null;
  /** Only messages before this seq. */
  before?: number | null;
  /** Only messages of this user. */
  from?: string | null;
  /** By default 50, at most 100. */
  limit?: number;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId: string;
  /** 1 to 200 characters; case and accents do not matter. */
  text: string;
}

/** Resubscribe to rooms after a reconnect and get the missed messages. */
export interface ResumeRequest {
  action: "resume";
  /** Repeated on the answer to this frame. */
  requestId?: string;
  /** For each room the last seq that the client has seen: `41`; or with the last change, `{"seq": 41, "rev": 7,
"epoch": "0"}`. */
  rooms: Record<string, number | {
    epoch?: string;
    rev?: number;
    seq: number;
  }>;
}

/** Set the caller's read position in a room. */
export interface MarkReadRequest {
  action: "markRead";
  /** The `readVersion` that the client knows: the mark stays if it was set back since. */
  readVersion?: number | null;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId: string;
  seq: number;
}

/** Set the caller's read position back: a message and all after it are unread again. */
export interface MarkUnreadRequest {
  action: "markUnread";
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId: string;
  seq: number;
}

/** Count what is unread in all of the caller's conversations. */
export interface UnreadsRequest {
  action: "unreads";
  /** The `nextCursor` of the page before. */
  cursor?: string | null;
  /** Repeated on the answer to this frame. */
  requestId?: string;
}

/** Set which messages of a room the caller wants to be told of. */
export interface SetNotifyRequest {
  action: "setNotify";
  /** Which messages a user wants to be told of. */
  level: "all" | "none" | "mentions";
  /** Until then of nothing. */
  mutedUntil?: string | null;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId: string;
}

/** List the caller's rooms with their unread counts. */
export interface ListRoomsRequest {
  action: "listRooms";
  /** The `nextCursor` of the page before. */
  cursor?: string | null;
  /** Repeated on the answer to this frame. */
  requestId?: string;
}

/** Block a user: they cannot write to the caller, nor add the caller to rooms. */
export interface BlockUserRequest {
  action: "blockUser";
  /** Repeated on the answer to this frame. */
  requestId?: string;
  userId: string;
}

/** Unblock a user. */
export interface UnblockUserRequest {
  action: "unblockUser";
  /** Repeated on the answer to this frame. */
  requestId?: string;
  userId: string;
}

/** List the users whom the caller has blocked. */
export interface ListBlockedRequest {
  action: "listBlocked";
  /** The `nextCursor` of the page before. */
  cursor?: string | null;
  /** Repeated on the answer to this frame. */
  requestId?: string;
}

export type Request =
  | PingRequest
  | HelloRequest
  | RefreshTokenRequest
  | CreateRoomRequest
  | JoinRoomRequest
  | LeaveRoomRequest
  | RoomInfoRequest
  | CloseRoomRequest
  | AddMembersRequest
  | DeclineInviteRequest
  | RemoveMemberRequest
  | BanMemberRequest
  | UnbanMemberRequest
  | SetRoleRequest
  | SetRoomModeRequest
  | RenameRoomRequest
  | MuteMemberRequest
  | UnmuteMemberRequest
  | ReportMessageRequest
  | ListInvitesRequest
  | RevokeInviteRequest
  | SendMessageRequest
  | SendMessagesRequest
  | EditMessageRequest
  | DeleteMessageRequest
  | ReactRequest
  | GetReactionsRequest
  | PinMessageRequest
  | UnpinMessageRequest
  | ListPinsRequest
  | BroadcastMessageRequest
  | TypingIndicatorRequest
  | HandleFileUploadRequest
  | GetFileRequest
  | GetMessagesRequest
  | SearchMessagesRequest
  | ResumeRequest
  | MarkReadRequest
  | MarkUnreadRequest
  | UnreadsRequest
  | SetNotifyRequest
  | ListRoomsRequest
  | BlockUserRequest
  | UnblockUserRequest
  | ListBlockedRequest;

/** What each action takes, and what it answers. */
export interface Actions {
  ping: { request: PingRequest; answer: PongFrame };
  hello: { request: HelloRequest; answer: HelloFrame };
  refreshToken: { request: RefreshTokenRequest; answer: HelloFrame };
  createRoom: { request: CreateRoomRequest; answer: RoomFrame };
  joinRoom: { request: JoinRoomRequest; answer: RoomFrame };
  leaveRoom: { request: LeaveRoomRequest; answer: AckFrame };
  roomInfo: { request: RoomInfoRequest; answer: RoomFrame };
  closeRoom: { request: CloseRoomRequest; answer: AckFrame };
  addMembers: { request: AddMembersRequest; answer: AddedFrame };
  declineInvite: { request: DeclineInviteRequest; answer: AckFrame };
  removeMember: { request: RemoveMemberRequest; answer: AckFrame };
  banMember: { request: BanMemberRequest; answer: AckFrame };
  unbanMember: { request: UnbanMemberRequest; answer: AckFrame };
  setRole: { request: SetRoleRequest; answer: AckFrame };
  setRoomMode: { request: SetRoomModeRequest; answer: MessageFrame | AckFrame };
  renameRoom: { request: RenameRoomRequest; answer: MessageFrame | AckFrame };
  muteMember: { request: MuteMemberRequest; answer: AckFrame };
  unmuteMember: { request: UnmuteMemberRequest; answer: AckFrame };
  reportMessage: { request: ReportMessageRequest; answer: AckFrame };
  listInvites: { request: ListInvitesRequest; answer: InvitesFrame };
  revokeInvite: { request: RevokeInviteRequest; answer: AckFrame };
  sendMessage: { request: SendMessageRequest; answer: MessageFrame | AckFrame };
  sendMessages: { request: SendMessagesRequest; answer: SentFrame };
  editMessage: { request: EditMessageRequest; answer: EditedFrame };
  deleteMessage: { request: DeleteMessageRequest; answer: DeletedFrame | AckFrame };
  react: { request: ReactRequest; answer: ReactionsFrame };
  getReactions: { request: GetReactionsRequest; answer: ReactedFrame };
  pinMessage: { request: PinMessageRequest; answer: PinnedFrame };
  unpinMessage: { request: UnpinMessageRequest; answer: UnpinnedFrame };
  listPins: { request: ListPinsRequest; answer: PinsFrame };
  broadcastMessage: { request: BroadcastMessageRequest; answer: MessageFrame | AckFrame };
  typingIndicator: { request: TypingIndicatorRequest; answer: void };
  handleFileUpload: { request: HandleFileUploadRequest; answer: UploadFrame };
  getFile: { request: GetFileRequest; answer: FileFrame };
  getMessages: { request: GetMessagesRequest; answer: MessagesFrame };
  searchMessages: { request: SearchMessagesRequest; answer: FoundFrame };
  resume: { request: ResumeRequest; answer: ResumedFrame };
  markRead: { request: MarkReadRequest; answer: AckFrame };
  markUnread: { request: MarkUnreadRequest; answer: ReadFrame };
  unreads: { request: UnreadsRequest; answer: UnreadsFrame };
  setNotify: { request: SetNotifyRequest; answer: AckFrame };
  listRooms: { request: ListRoomsRequest; answer: RoomsFrame };
  blockUser: { request: BlockUserRequest; answer: AckFrame };
  unblockUser: { request: UnblockUserRequest; answer: AckFrame };
  listBlocked: { request: ListBlockedRequest; answer: BlockedFrame };
}
