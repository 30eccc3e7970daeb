"""The words of what the event log records; a test looks that every action the centre writes has one."""

from __future__ import annotations

from flask_babel import lazy_gettext as _

ACTION_WORDS = {
    "sign_in": _("登录"),
    "sign_in.refused": _("登录被拒"),
    "sign_out": _("退出"),
    "page.denied": _("打开无权限的页面"),
    "person.searched": _("按个人信息查询"),
    "person.revealed": _("查看个人信息"),
    "pass.code_shown": _("查看年票码"),
    "operator.added": _("添加用户"),
    "operator.state": _("停用或启用用户"),
    "gate.enrolment_code": _("生成登记码"),
    "gate.enrol": _("闸机登记"),
    "gate.approve": _("启用闸机"),
    "gate.revoke": _("吊销闸机"),
    "journal.retire": _("不再等候闸机记录"),
    "journal.unfreeze": _("解冻闸机记录"),
    "approval.request": _("申请双人复核"),
    "approval.confirm": _("复核通过"),
    "approval.withdraw": _("撤回复核申请"),
    "venue.set": _("更改景区设置"),
    "pass.codes": _("导出年票码"),
    "demo-data": _("写入演示数据"),
    "lists.new_epoch": _("名单重新起版"),
    "pass.suspend": _("冻结年票"),
    "pass.resume": _("恢复年票"),
    "pass.revoke": _("作废年票"),
    "card.bind": _("绑定社保卡"),
    "transfer.resume": _("继续打款"),
    "transfer.contradiction": _("通道答复前后矛盾"),
    "key.create": _("生成密钥"),
    "key.start": _("启用密钥"),
    "key.revoke": _("吊销密钥"),
    "key.rotate_root": _("更换根密钥"),
    "venue.keys_rotated": _("更换景区密钥"),
    "pass.reissued": _("重新签发年票码"),
    "pass.phone": _("登记动态码手机"),
    "pass.phones_retired": _("停用动态码手机"),
}
