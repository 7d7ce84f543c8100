// Generated from the catalogue: UPDATE=1 cargo test --test schema.

/** An action was carried out and has nothing else to answer. */
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

/** A request failed, or an upload. */
export interface ErrorFrame {
  action?: string;
  /** The actions that exist. */
  actions?: Array<string>;
  code: string;
  /** The field at fault. */
  field?: string;
  /** The file that the failure is about. */
  fileId?: string;
  message: string;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  status: number;
  type: "error";
}

/** Where to download a file. */
export interface FileFrame {
  contentType: string;
  expiresAt: string;
  fileId: string;
  fileName: string;
  /** Where members find it. Empty in rows, which never hold it: the deployment's address may change. */
  fileUrl?: string;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  /** In bytes. */
  size: number;
  type: "file";
}

/** The function answers. Over HTTP only. */
export interface HealthFrame {
  status: string;
  type: "health";
}

/** Who the caller is here, and what they can rely on. */
export interface HelloFrame {
  /** Absent over HTTP. */
  connectionId?: string;
  format: string;
  /** What a client can rely on. */
  limits: {
    /** Most bytes of UTF-8 in the content of a message. */
    contentBytes: number;
    /** Most bytes of a file. */
    fileBytes: number;
    /** Most bytes of a frame. */
    frameBytes: number;
    /** Most rooms that a user can be in. */
    rooms: number;
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

/** Somebody became a member of a room. */
export interface JoinedFrame {
  chatRoomId?: string;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId: string;
  type: "joined";
  userId: string;
  userName: string;
}

/** Somebody is no longer a member of a room. */
export interface LeftFrame {
  chatRoomId?: string;
  /** Why somebody is no longer a member of a room. */
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
  /** The sender's own id for the message. Only the sender sees it. */
  clientMessageId?: string;
  content: string;
  createdAt: string;
  /** Whatever the sender attached. */
  data?: Record<string, unknown>;
  duplicate?: boolean;
  /** A file, as a message tells of it. */
  file?: {
    contentType: string;
    fileId: string;
    fileName: string;
    /** Where members find it. Empty in rows, which never hold it: the deployment's address may change. */
    fileUrl?: string;
    /** In bytes. */
    size: number;
  };
  fileUrl?: string;
  id?: string;
  messageId: string;
  /** The message that it replies to. */
  replyTo?: number;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId: string;
  senderId?: string;
  seq: number;
  /** What a later version of the server tells: `content` says it as a sentence. */
  system?: {
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
}

/** A page of a room's history. */
export interface MessagesFrame {
  hasMore: boolean;
  items: Array<{
    chatRoomId?: string;
    /** The sender's own id for the message. Only the sender sees it. */
    clientMessageId?: string;
    content: string;
    createdAt: string;
    /** Whatever the sender attached. */
    data?: Record<string, unknown>;
    duplicate?: boolean;
    /** A file, as a message tells of it. */
    file?: {
      contentType: string;
      fileId: string;
      fileName: string;
      /** Where members find it. Empty in rows, which never hold it: the deployment's address may change. */
      fileUrl?: string;
      /** In bytes. */
      size: number;
    };
    fileUrl?: string;
    id?: string;
    messageId: string;
    /** The message that it replies to. */
    replyTo?: number;
    roomId: string;
    senderId?: string;
    seq: number;
    /** What a later version of the server tells: `content` says it as a sentence. */
    system?: {
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
  }>;
  /** The cursor of the page after this one. */
  nextAfter?: number;
  /** The cursor of the page before this one. */
  nextBefore?: number;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId: string;
  type: "messages";
}

/** Rooms near a place. Over HTTP only. */
export interface NearFrame {
  nextCursor?: string;
  rooms: Array<{
    autoClose: boolean;
    chatRoomId?: string;
    createdAt: string;
    creator: string;
    /** Metres. */
    distance: number;
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
    nextCursor?: string;
    /** Users, not connections. Absent in search results. */
    onlineCount?: number;
    participantCount: number;
    /** Who is in a room: in full, or by their ids alone. */
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

/** The answer to `ping`. */
export interface PongFrame {
  /** Repeated on the answer to this frame. */
  requestId?: string;
  type: "pong";
}

/** Somebody came online or went offline. */
export interface PresenceFrame {
  at: string;
  chatRoomId?: string;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId: string;
  /** Whether a user has a live connection to a room. */
  status: "online" | "offline";
  type: "presence";
  userId: string;
}

/** How far a member has read. */
export interface ReadFrame {
  chatRoomId?: string;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId: string;
  seq: number;
  type: "read";
  userId: string;
}

/** What was missed in several rooms. */
export interface ResumedFrame {
  /** Repeated on the answer to this frame. */
  requestId?: string;
  rooms: Record<string, {
    /** Whether the room is closed: no message will follow. */
    closed?: boolean;
    /** Whether `items` are all that was missed. */
    complete: boolean;
    items: Array<{
      chatRoomId?: string;
      /** The sender's own id for the message. Only the sender sees it. */
      clientMessageId?: string;
      content: string;
      createdAt: string;
      /** Whatever the sender attached. */
      data?: Record<string, unknown>;
      duplicate?: boolean;
      /** A file, as a message tells of it. */
      file?: {
        contentType: string;
        fileId: string;
        fileName: string;
        /** Where members find it. Empty in rows, which never hold it: the deployment's address may change. */
        fileUrl?: string;
        /** In bytes. */
        size: number;
      };
      fileUrl?: string;
      id?: string;
      messageId: string;
      /** The message that it replies to. */
      replyTo?: number;
      roomId: string;
      senderId?: string;
      seq: number;
      /** What a later version of the server tells: `content` says it as a sentence. */
      system?: {
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
    }>;
    lastSeq: number;
    /** Where to go on, if they are not. */
    nextAfter?: number;
    oldestSeq?: number;
    /** Whether some of what was missed has expired. */
    reset?: boolean;
  } | {
    /** Why a room is not resumed. */
    error: {
      code: string;
      message: string;
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
  nextCursor?: string;
  /** Users, not connections. Absent in search results. */
  onlineCount?: number;
  participantCount: number;
  /** Who is in a room: in full, or by their ids alone. */
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
  /** Who closed it; absent where it was idle. */
  userId?: string;
}

/** A page of the caller's rooms. */
export interface RoomsFrame {
  items: Array<{
    autoClose: boolean;
    chatRoomId?: string;
    createdAt: string;
    creator: string;
    id?: string;
    /** Epoch milliseconds, unlike every other time. */
    lastActivity: number;
    /** An item of a page of history. */
    lastMessage?: {
      chatRoomId?: string;
      /** The sender's own id for the message. Only the sender sees it. */
      clientMessageId?: string;
      content: string;
      createdAt: string;
      /** Whatever the sender attached. */
      data?: Record<string, unknown>;
      duplicate?: boolean;
      /** A file, as a message tells of it. */
      file?: {
        contentType: string;
        fileId: string;
        fileName: string;
        /** Where members find it. Empty in rows, which never hold it: the deployment's address may change. */
        fileUrl?: string;
        /** In bytes. */
        size: number;
      };
      fileUrl?: string;
      id?: string;
      messageId: string;
      /** The message that it replies to. */
      replyTo?: number;
      roomId: string;
      senderId?: string;
      seq: number;
      /** What a later version of the server tells: `content` says it as a sentence. */
      system?: {
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
    nextCursor?: string;
    /** Users, not connections. Absent in search results. */
    onlineCount?: number;
    participantCount: number;
    /** Who is in a room: in full, or by their ids alone. */
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
    /** Messages of others after `lastReadSeq`: 99 stands for 99 and more. */
    unread: number;
    unreadMore?: boolean;
  }>;
  nextCursor?: string;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  type: "rooms";
}

/** Somebody started or stopped typing. */
export interface TypingFrame {
  /** The action of the sender. */
  action?: string;
  chatRoomId?: string;
  isTyping: boolean;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId: string;
  type: "typing";
  userId: string;
  userName: string;
}

/** Where to upload an announced file. */
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
  | ErrorFrame
  | FileFrame
  | HealthFrame
  | HelloFrame
  | InviteFrame
  | JoinedFrame
  | LeftFrame
  | MessageFrame
  | MessagesFrame
  | NearFrame
  | PongFrame
  | PresenceFrame
  | ReadFrame
  | ResumedFrame
  | RoomFrame
  | RoomClosedFrame
  | RoomsFrame
  | TypingFrame
  | UploadFrame;

/**  Check that the connection is alive. */
export interface PingRequest {
  action: "ping";
  /** Repeated on the answer to this frame. */
  requestId?: string;
}

/**  Ask who one is here, and what one can rely on. */
export interface HelloRequest {
  action: "hello";
  /** Repeated on the answer to this frame. */
  requestId?: string;
}

/**  Create a room with its first members. */
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

/**  Become a member of a room and hear it. */
export interface JoinRoomRequest {
  action: "joinRoom";
  /** Needed for a private room. */
  invite?: string | null;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId: string;
  userColor?: string | null;
  userIcon?: string | null;
  /** The display name. Ignored where a token vouches for another one. */
  userName?: string | null;
}

/**  End one's own membership in a room. */
export interface LeaveRoomRequest {
  action: "leaveRoom";
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId: string;
}

/**  Ask what a room is and who is in it. */
export interface RoomInfoRequest {
  action: "roomInfo";
  /** The `nextCursor` of the page before. */
  cursor?: string | null;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId: string;
}

/**  Close a room: nobody can write to it any more. */
export interface CloseRoomRequest {
  action: "closeRoom";
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId: string;
}

/**  End the membership of another user. */
export interface RemoveMemberRequest {
  action: "removeMember";
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId: string;
  userId: string;
}

/**  End the membership of another user and keep them from joining again. */
export interface BanMemberRequest {
  action: "banMember";
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId: string;
  userId: string;
}

/**  Let a banned user join again. */
export interface UnbanMemberRequest {
  action: "unbanMember";
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId: string;
  userId: string;
}

/**  Give a member another role. */
export interface SetRoleRequest {
  action: "setRole";
  /** Repeated on the answer to this frame. */
  requestId?: string;
  /** What a member may do in a room. */
  role: "owner" | "admin" | "member";
  roomId: string;
  userId: string;
}

/**  Send a message to a room, to a user or to the lobby. */
export interface SendMessageRequest {
  action: "sendMessage";
  /** Makes a retry safe: the same id is written once. */
  clientMessageId?: string | null;
  /** 1 byte to 16 KB of UTF-8. */
  content: string;
  /** An object of at most 1 KB, for the clients alone. */
  data?: Record<string, unknown> | null;
  /** The user of a direct conversation. */
  recipientId?: string | null;
  /** The message that it replies to. */
  replyTo?: number | null;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId?: string | null;
  /** A room, if the caller is in one of that id, or else a user. */
  targetId?: string | null;
  userColor?: string | null;
  userIcon?: string | null;
  /** The display name. Ignored where a token vouches for another one. */
  userName?: string | null;
}

/**  Send a message to a room; as an admin without a room, to everybody. */
export interface BroadcastMessageRequest {
  action: "broadcastMessage";
  /** Makes a retry safe: the same id is written once. */
  clientMessageId?: string | null;
  /** 1 byte to 16 KB of UTF-8. */
  content: string;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  /** Without a room the message goes to everybody. */
  roomId?: string | null;
  userColor?: string | null;
  userIcon?: string | null;
  /** The display name. Ignored where a token vouches for another one. */
  userName?: string | null;
}

/**  Tell the others that the caller is typing. */
export interface TypingIndicatorRequest {
  action: "typingIndicator" | "user-typing" | "typing";
  /** Default: true. */
  isTyping?: boolean | null;
  /** The user of a direct conversation. */
  recipientId?: string | null;
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId?: string | null;
  /** A room, if the caller is in one of that id, or else a user. */
  targetId?: string | null;
  userColor?: string | null;
  userIcon?: string | null;
  /** The display name. Ignored where a token vouches for another one. */
  userName?: string | null;
}

/**  Announce a file, and ask where to upload it. */
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
  /** A room, if the caller is in one of that id, or else a user. */
  targetId?: string | null;
}

/**  Ask where a file can be downloaded. */
export interface GetFileRequest {
  action: "getFile";
  /** Also with the ticket of a link behind it. */
  fileId: string;
  /** Whether the browser shows it, if it is an image. By default it saves the file. */
  inline?: "1" | "0";
  /** Repeated on the answer to this frame. */
  requestId?: string;
}

/**  Read a page of a conversation's history. */
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
  /** A room, if the caller is in one of that id, or else a user. */
  targetId?: string | null;
}

/**  Hear rooms again, and get what was missed. */
export interface ResumeRequest {
  action: "resume";
  /** Repeated on the answer to this frame. */
  requestId?: string;
  /** For each room the last seq that the client has seen. */
  rooms: Record<string, number>;
}

/**  Note how far the caller has read. */
export interface MarkReadRequest {
  action: "markRead";
  /** Repeated on the answer to this frame. */
  requestId?: string;
  roomId: string;
  seq: number;
}

/**  List the caller's rooms, with what is unread in them. */
export interface ListRoomsRequest {
  action: "listRooms";
  /** The `nextCursor` of the page before. */
  cursor?: string | null;
  /** Repeated on the answer to this frame. */
  requestId?: string;
}

export type Request =
  | PingRequest
  | HelloRequest
  | CreateRoomRequest
  | JoinRoomRequest
  | LeaveRoomRequest
  | RoomInfoRequest
  | CloseRoomRequest
  | RemoveMemberRequest
  | BanMemberRequest
  | UnbanMemberRequest
  | SetRoleRequest
  | SendMessageRequest
  | BroadcastMessageRequest
  | TypingIndicatorRequest
  | HandleFileUploadRequest
  | GetFileRequest
  | GetMessagesRequest
  | ResumeRequest
  | MarkReadRequest
  | ListRoomsRequest;
