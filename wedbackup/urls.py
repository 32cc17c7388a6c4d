"""All addresses of the site."""

from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import include, path

urlpatterns = [
    path("", include("monitoring.urls")),
    path("", include("backups.urls")),
    path("", include("providers.urls")),
    path(
        "sign-in/",
        LoginView.as_view(template_name="core/sign_in.html", redirect_authenticated_user=True),
        name="sign-in",
    ),
    path("sign-out/", LogoutView.as_view(), name="sign-out"),
    path("admin/", admin.site.urls),
]
