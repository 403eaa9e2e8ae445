"""Downloads: resumed after a broken transfer, checked, and unpacked safely."""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class Download:
    """A file that can be downloaded.

    Attributes:
      url: where it is.
      size: about how many bytes it has, for people; 0 where nobody knows.
      sha256: its checksum; '' where none is published.
      md5_url: address of a file with its MD5 checksum; '' where there is none.
      unpack: whether it is an archive whose contents are wanted.
    """

    url: str
    size: int = 0
    sha256: str = ""
    md5_url: str = ""
    unpack: bool = False
